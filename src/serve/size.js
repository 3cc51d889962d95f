// The browser that is shown shall fit this screen.
document.getElementById('width').value = innerWidth;
document.getElementById('height').value = Math.round(innerHeight * 0.78);

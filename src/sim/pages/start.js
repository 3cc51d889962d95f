// What the address shows, and keys, which work wherever the focus is.
const armed = new Set(settings.armed);
const listing = new Listing();
const containerUrl = `${settings.user}${settings.place || '/'}${settings.query}`;
let grid = null;

const viewer = new Viewer(listing, () => leaveViewer('push'));

function openFromGrid(position, item) {
  grid.root.style.visibility = 'hidden';
  grid.bar.style.visibility = 'hidden';
  viewer.show(item, position, 'push');
}

// Back to the place, as it was left; a viewer that was loaded alone has none to go back to.
function leaveViewer(how) {
  if (!grid) return location.assign(containerUrl);
  const { position } = viewer.current;
  viewer.hide();
  if (how === 'push') history.pushState(null, '', containerUrl);
  if (settings.heading) document.title = `${settings.heading} - Google Photos`;
  grid.root.style.visibility = grid.bar.style.visibility = '';
  canonical(`https://photos.google.com${settings.place || '/'}`);
  if (position !== null) grid.focus(position);
}

function start() {
  if (!settings.photo) {
    grid = new Grid(listing, openFromGrid);
    return;
  }
  const answer = firstData('VrseUb');
  const item = readItem(answer[0]);
  if (settings.position !== null) listing.items[settings.position] = item;
  viewer.show(item, settings.position, 'keep');
}

addEventListener('popstate', () => {
  const key = (location.pathname.match(/\/photo\/([^/]+)$/) || [])[1];
  const position = listing.items.findIndex(item => item && item.key === key);
  if (!key && viewer.isOpen) leaveViewer('keep');
  else if (key && position >= 0) {
    if (grid) grid.root.style.visibility = grid.bar.style.visibility = 'hidden';
    viewer.show(listing.items[position], position, 'keep');
  } else if (key) location.reload();
});

document.addEventListener('keydown', event => {
  if (isTaken(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
  if (performance.now() < settings.deaf) return;
  if (armed.has('background') && document.hidden) return;
  if (viewer.isOpen) viewer.onKey(event); else grid?.onKey(event);
});

start();

// For tests only: the texts of day headers.
window.__headers = days => days.map(dayHeader);

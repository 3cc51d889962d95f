// What changes comes as HTML, made by the same template as the page. The browser connects again by itself.
const live = document.getElementById('live');
const events = new EventSource('/api/events');
events.addEventListener('live', event => {
  // Whoever is about to press a button keeps it.
  if (live.contains(document.activeElement) && document.activeElement !== document.body) return;
  live.innerHTML = event.data;
});
addEventListener('pagehide', () => events.close());

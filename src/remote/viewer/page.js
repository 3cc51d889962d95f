// What shoebox does inside the library's pages. Structure first; texts of a language come in `words`.
const visible = e => e.checkVisibility ? e.checkVisibility({ visibilityProperty: true }) : e.offsetParent !== null;
const pause = ms => new Promise(done => setTimeout(done, ms));
const anchors = () => [...document.querySelectorAll('a[href*="/photo/"]')].filter(visible);
const keyOf = a => ((a.getAttribute('href') || '').match(/\/photo\/([A-Za-z0-9_-]+)/) || [])[1];
// Half a surrogate pair in a name would make the whole answer unreadable for the debugging protocol.
const whole = text => String(text || '').replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
const language = () => document.documentElement.lang || '';

// Tags, roles and numbers; never text.
const skeleton = () => {
  const count = s => document.querySelectorAll(s).length;
  const mains = [...document.querySelectorAll('[role="main"]')].map(e => `${e.tagName.toLowerCase()}(${e.childElementCount}${visible(e) ? '' : ', hidden'})`);
  return `lang ${language().slice(0, 8)}; main: ${mains.join(' ') || 'none'}; links ${count('a[href]')}, photo links ${count('a[href*="/photo/"]')}, keyed ${count('[data-media-key]')}, data-p ${count('[data-p]')}, menus ${count('[aria-haspopup="menu"]')}, dialogs ${count('[role="dialog"]')}`;
};

// What scrolls the photos.
const scrollerOf = a => {
  for (let e = a; e; e = e.parentElement) {
    const flow = getComputedStyle(e).overflowY;
    if ((flow === 'auto' || flow === 'scroll') && e.scrollHeight > e.clientHeight) return e;
  }
  return a.closest('[role="main"]') || document.scrollingElement;
};

// Whether some of it is in sight.
const inSightOf = scroller => {
  const frame = scroller.getBoundingClientRect();
  return e => {
    const box = e.getBoundingClientRect();
    return box.height > 0 && box.bottom > Math.max(0, frame.top) && box.top < Math.min(innerHeight, frame.bottom);
  };
};

// The order of reading: row by row.
const inOrder = (a, b) => {
  const [one, two] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
  return Math.round(one.top) - Math.round(two.top) || one.left - two.left;
};

// Tiles in sight that look like the others and have no photo; those before the photo `past` are known of.
let past = null;
const bare = scroller => {
  const all = anchors(), known = past && all.find(a => keyOf(a) === past);
  const names = new Set(all.slice(0, 5).map(a => a.parentElement.className).filter(Boolean));
  const tiles = [...names].flatMap(name => [...scroller.getElementsByClassName(name)]);
  return tiles.filter(e => !e.querySelector('a[href]')).filter(inSightOf(scroller)).filter(e => !known || inOrder(known, e) < 0);
};

// Waits until every tile in sight has its photo.
const settled = async (scroller, until) => {
  let before = '';
  for (;;) {
    await pause(60);
    const lacking = bare(scroller).length > 0;
    const now = anchors().filter(inSightOf(scroller)).map(keyOf).join();
    if (!lacking && now && now === before) return true;
    before = now;
    if (performance.now() > until) return !lacking && now !== '';
  }
};

// The same; a page that failed to get something asks for it again when it is scrolled.
const settledAtLast = async scroller => {
  if (await settled(scroller, performance.now() + 5000)) return true;
  for (let tries = 0; tries < 3; tries++) {
    const top = scroller.scrollTop, by = top > 80 ? -60 : 60;
    scroller.scrollTop = top + by;
    await pause(120);
    scroller.scrollTop = top;
    if (await settled(scroller, performance.now() + 3000)) return true;
  }
  return false;
};

// The label of a tile stands on the link, or on the box beside it, and comes late.
const labelOf = a => a.getAttribute('aria-label') || (a.parentElement && a.parentElement.querySelector('[role="checkbox"]') || a).getAttribute('aria-label') || '';

const isAtEnd = scroller => scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 2;
const goOn = scroller => { scroller.scrollTop += scroller.clientHeight * 0.7; };
const take = found => { for (const a of anchors()) if (keyOf(a)) found.set(keyOf(a), whole(labelOf(a)) || found.get(keyOf(a)) || ''); };

// Walks down the grid from where it stands, for some photos or some time.
const walk = async (wanted, milliseconds, start, known) => {
  past = known;
  const began = performance.now();
  const first = anchors()[0];
  if (!first) return { photos: [], end: false, top: 0, height: 0, stuck: 'no photos', skeleton: skeleton(), last: null };
  const scroller = scrollerOf(first);
  if (start !== null) scroller.scrollTop = start;
  const found = new Map();
  let labelled = true, still = 0, stuck = '', end = false, last = null;
  for (;;) {
    if (!await settledAtLast(scroller)) { stuck = 'empty tiles'; break; }
    for (let tries = 0; labelled && tries < 2 && anchors().some(a => !labelOf(a)); tries++) await pause(100);
    labelled = labelled && anchors().some(labelOf);
    const before = found.size;
    take(found);
    last = lastInSight(scroller) || last;
    const top = scroller.scrollTop;
    still = isAtEnd(scroller) && found.size === before ? still + 1 : 0;
    if (isAtEnd(scroller) && still >= 2) { end = true; break; }
    if (!isAtEnd(scroller)) {
      goOn(scroller);
      if (scroller.scrollTop === top) { stuck = 'it does not scroll'; break; }
    }
    if (found.size >= wanted || performance.now() - began > milliseconds) break;
  }
  // Rows come in late: the keys begin after this photo, so those before it must have been listed.
  last = lastInSight(scroller) || last;
  take(found);
  return { photos: [...found], end, top: scroller.scrollTop, height: scroller.scrollHeight, stuck, skeleton: stuck ? skeleton() : '', last };
};

// The first photo after empty tiles, and where it is in sight; goes down for some time until there is one.
const afterGap = async (milliseconds, known) => {
  past = known;
  const until = performance.now() + milliseconds;
  const scroller = scrollerOf(anchors()[0] || document.body);
  const found = new Map();
  let gap = bare(scroller).sort(inOrder)[0];
  for (;;) {
    take(found);
    const photo = anchors().filter(inSightOf(scroller)).filter(a => !gap || inOrder(gap, a) < 0).sort(inOrder)[0];
    if (photo) return { photos: [...found], top: scroller.scrollTop, after: keyOf(photo), end: false };
    if (isAtEnd(scroller) || performance.now() > until) return { photos: [...found], top: scroller.scrollTop, after: null, end: isAtEnd(scroller) };
    goOn(scroller);
    gap = null;
    await settled(scroller, performance.now() + 700);
  }
};

// The photo farthest down in sight, and farthest to the end of its row, with no empty tile before it.
const lastInSight = scroller => {
  const end = scroller === document.scrollingElement ? innerHeight : Math.min(innerHeight, scroller.getBoundingClientRect().bottom);
  const gap = bare(scroller).sort(inOrder)[0];
  const sorted = anchors().filter(a => a.getBoundingClientRect().top < end && (!gap || inOrder(a, gap) < 0)).sort(inOrder);
  return sorted.length ? keyOf(sorted.at(-1)) : null;
};

// Which photo the viewer has gone on to.
const movedFrom = async (key, milliseconds) => {
  for (const until = performance.now() + milliseconds; performance.now() < until; await pause(25)) {
    const here = (location.pathname.match(/\/photo\/([A-Za-z0-9_-]+)/) || [])[1];
    if (here && here !== key && layerOf(here)) return here;
  }
  return null;
};

// The key of the photo whose link has the focus.
const focused = () => { const a = document.activeElement; return a && a.tagName === 'A' && keyOf(a) || null; };

// The visible layer that shows a photo.
const layerOf = key => [...document.querySelectorAll(`[data-media-key="${key}"], [data-p*="${key}"]`)].find(visible) || null;

const layerWithin = async (key, milliseconds) => {
  for (const until = performance.now() + milliseconds; performance.now() < until; await pause(40)) if (layerOf(key)) return true;
  return false;
};

// The fields of the info panel, as texts. A name is told by its label, or by looking like one.
const fieldsOf = (key, words) => {
  const within = [...document.querySelectorAll(`[data-media-key="${key}"], [data-p*="${key}"]`)].filter(visible);
  const all = s => within.flatMap(layer => [...layer.querySelectorAll(s)]).filter(visible);
  const by = prefix => prefix && all('[aria-label]').find(e => e.getAttribute('aria-label').startsWith(prefix));
  const text = e => e ? (e.textContent || '').trim() : '';
  const repeated = e => { const label = e.getAttribute('aria-label'), own = text(e); return own && label !== own && label.endsWith(own); };
  const name = by(words.filename) || all('[aria-label]').find(e => repeated(e) && /\.[A-Za-z0-9]{2,5}$/.test(text(e)));
  if (!name) return null;
  const note = all('textarea')[0];
  return { name: whole(text(name)), date: whole(text(by(words.date))), time: whole(text(by(words.time))),
           zone: whole(text(all('[aria-label^="GMT"]')[0])), description: whole(note && note.value) };
};

const fieldsWithin = async (key, words, milliseconds) => {
  for (const until = performance.now() + milliseconds; performance.now() < until; await pause(60)) {
    const fields = fieldsOf(key, words);
    if (fields && fields.name) return fields;
  }
  return null;
};

// Where a real click on an element would go; nothing if something else lies over it.
const target = e => {
  if (!e) return null;
  const box = e.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const hit = document.elementFromPoint(x, y);
  return hit && (e.contains(hit) || hit.contains(e)) ? { x, y } : null;
};

const infoButton = (key, words) => { const layer = layerOf(key); return layer && [...layer.querySelectorAll('[aria-label]')].find(e => visible(e) && e.getAttribute('aria-label') === words.info); };

// The menu of the visible layer: the last one in it, as in the document of the site.
const moreButton = (key, words) => {
  const layer = layerOf(key);
  if (!layer) return null;
  const all = [...layer.querySelectorAll('[aria-haspopup="menu"], [aria-label]')].filter(visible);
  return all.filter(e => e.getAttribute('aria-label') === words.more).at(-1) || all.filter(e => e.getAttribute('aria-haspopup') === 'menu').at(-1) || null;
};

const entries = () => [...document.querySelectorAll('[role="menuitem"]')].filter(visible);

const entriesWithin = async milliseconds => {
  for (const until = performance.now() + milliseconds; performance.now() < until; await pause(40)) if (entries().length) return entries().map(e => whole(e.getAttribute('aria-label') || e.textContent));
  return [];
};

const dialogs = () => [...document.querySelectorAll('[role="dialog"]')].filter(visible);

// What the page says instead of starting a download.
const notice = (key, words) => {
  const says = text => words.processing.some(word => text.includes(word));
  const boxes = [...document.querySelectorAll('[role="dialog"], [role="alert"], [role="status"]')].filter(visible);
  if (boxes.some(box => says(`${box.getAttribute('aria-label') || ''} ${box.innerText}`))) return 'processing';
  // Only what can be seen: pages carry texts of all kinds in their scripts.
  const layer = layerOf(key);
  if (layer && says(layer.innerText || '')) return 'processing';
  return boxes.some(box => box.getAttribute('role') !== 'status') ? 'notice' : '';
};

// Shortcuts go nowhere while a field or a film has the focus.
const unfocus = () => {
  const e = document.activeElement;
  if (e && e !== document.body) { if (e.tagName === 'VIDEO') e.pause(); e.blur(); }
  return true;
};

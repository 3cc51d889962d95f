// Elements, the page's own calls, and what the server said about this page.
const settings = JSON.parse(document.getElementById('page-settings').textContent);
const strings = settings.strings;
const wait = ms => new Promise(done => setTimeout(done, ms));

// el('a.p137Zd', {href}, child, …): text by strings only, as trusted types demand.
function el(what, attributes, ...children) {
  const [tag, ...classes] = what.split('.');
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Which page the site itself says this is.
function canonical(url) {
  const link = document.querySelector('link[rel="canonical"]') || el('link', { rel: 'canonical' });
  link.setAttribute('href', url);
  if (!link.isConnected) document.head.append(link);
}

// A number that a text always gives, to spread delays without chance.
function spread(text, most) {
  let hash = 7;
  for (const c of text) hash = (hash * 31 + c.codePointAt(0)) % 1000003;
  return hash % most;
}

// What the server put into the document for the first view: the answer to this call, or nothing.
function firstData(rpcid) {
  const entry = Object.entries(window.AF_dataServiceRequests || {}).find(([, asked]) => asked.id === rpcid);
  const chunk = entry && window.AF_initDataChunkQueue.find(one => one.key === entry[0]);
  return chunk && chunk.data;
}

let requestId = 100000 + Math.floor(Math.random() * 900000);

// One call to batchexecute. Tries again when the server is busy, as the page cannot do without.
async function rpc(rpcid, args) {
  const wiz = window.WIZ_global_data;
  for (let attempt = 0; ; attempt++) {
    requestId += 100000;
    const query = new URLSearchParams({
      rpcids: rpcid, 'source-path': location.pathname, 'f.sid': wiz.FdrFJe, bl: wiz.cfb2h,
      hl: document.documentElement.lang, 'soc-app': '165', 'soc-platform': '1', 'soc-device': '1',
      _reqid: String(requestId), rt: 'c',
    });
    const body = new URLSearchParams({
      'f.req': JSON.stringify([[[rpcid, JSON.stringify(args), null, 'generic']]]), at: wiz.SNlM0e,
    });
    try {
      const answer = await fetch(`${wiz.eptZe}data/batchexecute?${query}`, {
        method: 'POST', body: `${body}&`,
        headers: {
          'content-type': 'application/x-www-form-urlencoded;charset=UTF-8', 'x-same-domain': '1', 'x-sim-page': '1',
        },
      });
      const line = (await answer.text()).split('\n').find(text => text.includes('"wrb.fr"'));
      if (answer.ok && line) {
        const row = JSON.parse(line).find(one => one[0] === 'wrb.fr' && one[1] === rpcid);
        if (row && row[2]) return JSON.parse(row[2]);
        if (row && row[5]) return null;
      }
    } catch (e) {
      console.debug(`${rpcid} failed`, e);
    }
    if (attempt === 3) return null;
    await wait(300 * 2 ** attempt);
  }
}

// The field with this number of a message: in its place, or in the sparse object at the end.
function field(message, number) {
  const last = message[message.length - 1];
  const sparse = last !== null && typeof last === 'object' && !Array.isArray(last) ? last : {};
  if (number <= message.length && message[number - 1] !== sparse) return message[number - 1] ?? sparse[number];
  return sparse[number];
}

// What shall go wrong now: the simulator's fault script, asked at each doing.
async function faults(doing, key) {
  try {
    const answer = await fetch(`/_/PhotosUi/_/faults?doing=${doing}&key=${encodeURIComponent(key)}`);
    return await answer.json();
  } catch {
    return {};
  }
}

// Keys belong to a field or a playing video while it has the focus.
function isTaken(target) {
  return target instanceof Element && target.closest('input, textarea, video, [contenteditable]') !== null;
}

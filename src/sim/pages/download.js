// Downloads: the address comes by a call, then the tab itself goes there; an attachment leaves the page.
function leadTo(url) {
  if (url) location.assign(url);
}

function toast(text) {
  const note = el('div.toast', { role: 'alert', 'aria-live': 'polite' }, text);
  document.body.append(note);
  setTimeout(() => note.remove(), 6000);
}

function dialog(label) {
  const button = el('button', { type: 'button' }, strings.ok);
  const box = el('div.dialog', { role: 'dialog', 'aria-label': label }, el('div', {}, label), button);
  button.addEventListener('click', () => box.remove());
  document.body.append(box);
}

const infos = new Map();

// Item and addresses, as the viewer of the photo has them.
function info(key) {
  if (!infos.has(key)) {
    const first = settings.photo === key ? firstData('VrseUb') : null;
    infos.set(key, first ? Promise.resolve(first) : rpc('VrseUb', [key, null, null, null, settings.album]));
  }
  return infos.get(key);
}

// How: by 'key' or by 'menu'. What: 'current', 'original' or 'video'.
async function download(item, how, what, neighbour) {
  const wrong = await faults(how === 'key' ? 'shortcut' : 'download', item.key);
  if (wrong['key-ignored'] && how === 'key') return;
  if (wrong['toast'] || wrong.state === 'toast') return toast(strings.processingToast);
  if (wrong['dialog'] || wrong.state === 'dialog') return dialog(`${strings.processing}. ${strings.processingToast}`);
  if (wrong.state === 'ready-soon' || wrong['no-download']) return;
  if (wrong['freeze']) {
    const until = Date.now() + wrong['freeze'];
    while (Date.now() < until);
  }
  await wait(wrong['slow'] || 0);
  let key = item.key;
  if (wrong['wrong-photo'] && neighbour) key = (await neighbour()) || key;
  // A fresh address each time: they live for minutes, and may work only once.
  const answer = await rpc('VrseUb', [key, null, null, null, settings.album]);
  if (!answer) return;
  if (what === 'original') return leadTo(field(answer, 8));
  if (what === 'video') return leadTo(readItem(answer[0]).clip);
  leadTo(answer[1]);
}

// Two and more photos come as a zip that the server prepares.
async function downloadZip(keys) {
  const [token] = (await rpc('yCLA7', [keys.map(key => [key])])) || [];
  for (let turn = 0; token && turn < 120; turn++) {
    const answer = await rpc('dnv2s', [[token]]);
    const entry = answer && answer[0] && answer[0][0] && answer[0][0][0];
    if (entry && entry[1] === 4) return leadTo(entry[2][0][1]);
    await wait(500);
  }
}

// Shows the container's browser in this page: what is typed, pasted and touched here happens there.
import RFB from '/novnc/core/rfb.js';

const at = id => document.getElementById(id);
const screen = at('screen'), said = at('said'), typed = at('typed');
const ENTER = 0xff0d, BACKSPACE = 0xff08, TAB = 0xff09, CONTROL = 0xffe3;
// Whose login it is, where there are several.
const query = screen.dataset.query;
let rfb = null, tries = 0;

function connect() {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  rfb = new RFB(screen, `${scheme}://${location.host}/sign-in/display${query}`, { wsProtocols: ['binary'] });
  rfb.scaleViewport = true;
  rfb.background = '#000';
  rfb.addEventListener('connect', () => { tries = 0; said.textContent = 'This is the browser of your archive.'; rfb.focus(); });
  rfb.addEventListener('disconnect', async () => {
    said.textContent = 'The picture is gone; looking what has happened …';
    const state = await fetch('/api/sign-in' + query).then(answer => answer.json()).catch(() => ({}));
    if (state.state !== 'showing') location.reload();
    else if (tries++ < 10) setTimeout(connect, 1000);
  });
}

function press(key) {
  rfb?.sendKey(key, null);
}

// A keysym of a character: Latin-1 as it is, all else by its number in Unicode.
function keysym(character) {
  const number = character.codePointAt(0);
  return number < 0x100 ? number : 0x1000000 + number;
}

// What a phone's keyboard writes is compared with what was there: it may replace words, and tells no keys.
let before = '';
typed.addEventListener('input', () => {
  const now = typed.value;
  let same = 0;
  while (same < before.length && same < now.length && before[same] === now[same]) same++;
  for (const _ of [...before.slice(same)]) press(BACKSPACE);
  for (const character of [...now.slice(same)]) press(keysym(character));
  before = now;
});
typed.addEventListener('keydown', event => {
  if (event.key === 'Enter') { press(ENTER); typed.value = before = ''; event.preventDefault(); }
  if (event.key === 'Tab') { press(TAB); event.preventDefault(); }
  if (event.key === 'Backspace' && typed.value === '') press(BACKSPACE);
});
at('enter').addEventListener('click', () => { press(ENTER); typed.value = before = ''; });
at('tab').addEventListener('click', () => { press(TAB); typed.value = before = ''; });
at('paste').addEventListener('click', async () => {
  // What is in the box has been typed already.
  if (typed.value) { typed.value = before = ''; return; }
  const text = await navigator.clipboard?.readText().catch(() => '') || '';
  if (!text) { said.textContent = 'Paste it into the box: it appears in the browser above.'; typed.focus(); return; }
  rfb.clipboardPasteFrom(text);
  setTimeout(() => {
    rfb.sendKey(CONTROL, 'ControlLeft', true); rfb.sendKey(0x76, 'KeyV'); rfb.sendKey(CONTROL, 'ControlLeft', false);
  }, 200);
});
at('zoom').addEventListener('click', () => {
  rfb.scaleViewport = !rfb.scaleViewport;
  rfb.clipViewport = rfb.dragViewport = !rfb.scaleViewport;
  at('zoom').setAttribute('aria-pressed', String(!rfb.scaleViewport));
});
connect();

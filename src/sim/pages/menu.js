// Menus: their items are in the document only while they are open.
let openMenu = null;

function closeMenu() {
  if (!openMenu) return false;
  openMenu.remove();
  openMenu = null;
  return true;
}

document.addEventListener('mousedown', event => {
  if (openMenu && !openMenu.parentNode.contains(event.target)) closeMenu();
});

// A "More options" button; `choices` gives pairs of label and action when it is opened.
function menuButton(choices) {
  const button = el('button.menu-button', {
    type: 'button', 'aria-label': strings.more, 'aria-haspopup': 'menu', 'data-tooltip': strings.more,
  });
  const wrapper = el('div', { 'data-is-menu-dynamic': 'true' }, button);
  button.addEventListener('click', async () => {
    if (closeMenu()) return;
    const pairs = await choices();
    closeMenu();
    const list = el('ul.menu', { role: 'menu' });
    for (const [label, action] of pairs) list.append(menuItem(label, action));
    openMenu = list;
    wrapper.append(list);
  });
  return wrapper;
}

// A click, Enter, or a press and release without a click: whatever comes first counts, once.
function menuItem(label, action) {
  const entry = el('li', { role: 'menuitem', tabindex: '0', 'aria-label': label },
    el('span', {}, label === strings.download ? strings.downloadWord : label));
  let pressed = false;
  const activate = event => {
    event.preventDefault();
    event.stopPropagation();
    if (openMenu && openMenu.contains(entry)) {
      closeMenu();
      action();
    }
  };
  entry.addEventListener('mousedown', () => { pressed = true; });
  entry.addEventListener('mouseup', event => { if (pressed) activate(event); });
  entry.addEventListener('click', activate);
  entry.addEventListener('keydown', event => {
    if (event.key === 'Enter' || event.key === ' ') activate(event);
  });
  return entry;
}

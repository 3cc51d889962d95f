// The info panel of one viewer layer. Whether it is open goes from photo to photo.
let panelIsOpen = false;

class Panel {
  constructor(layer, item) {
    this.layer = layer;
    this.item = item;
    this.element = null;
  }

  toggle(open) {
    panelIsOpen = open;
    if (open) this.show();
    else if (this.element) {
      this.element.remove();
      this.element = null;
    }
  }

  // The frame comes at once, the fields by and by - or, with a fault, never.
  async show() {
    if (this.element) return;
    const close = el('div.IMbeAf', { role: 'button', tabindex: '0', 'aria-label': strings.closeInfo });
    const body = el('div.ZPTMcc');
    const element = this.element = el('div.panel', {}, close, body);
    close.addEventListener('click', () => this.toggle(false));
    this.layer.append(element);
    const [wrong, answer] = await Promise.all([
      faults('panel', this.item.key), rpc('fDcn4b', [this.item.key, 1, null, null, 1]),
      wait(150 + spread(this.item.key, 250)),
    ]);
    if (wrong['panel-never'] || !answer) return;
    await wait(wrong['panel-slow'] || 0);
    if (this.element === element) body.append(...this.fields(answer[0]));
  }

  fields(details) {
    const date = localDate(this.item);
    const [day, time, zone] = [panelDate(date), panelTime(date), zoneText(this.item.zone)];
    const note = el('textarea', { 'aria-label': strings.description, rows: '1' });
    note.value = field(details, 2) || '';
    const label = (tag, prefix, text) => el(tag, { 'aria-label': `${prefix} ${text}` }, text);
    return [
      note,
      el('div.wiOkb', {}, strings.details),
      el('div.when', {},
        label('div', strings.dateTaken, day),
        el('div', {}, label('span', strings.timeTaken, time), ' ', el('span', { 'aria-label': zone }, zone))),
      label('div.R9U8ab', strings.filename, field(details, 3) || ''),
    ];
  }
}

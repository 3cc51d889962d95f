// The viewer: a fresh layer for each photo; one or two old ones stay, hidden.
class Viewer {
  constructor(listing, leave) {
    this.listing = listing;
    this.leave = leave;
    this.layers = [];
    this.current = null;
    this.work = Promise.resolve();
  }

  get isOpen() {
    return this.current !== null;
  }

  // Shows a photo and puts its address into the history, unless it is already there.
  show(item, position, how) {
    closeMenu();
    const url = `${settings.user}${settings.place}/photo/${item.key}${settings.query}`;
    if (how === 'push') history.pushState({ photo: item.key }, '', url);
    document.title = 'Google Photos';
    canonical(`https://photos.google.com/photo/${item.key}`);
    for (const old of this.layers) old.element.style.visibility = 'hidden';
    while (this.layers.length > 2) this.layers.shift().element.remove();
    const layer = new Layer(item, position, this);
    this.layers.push(layer);
    document.querySelector('.b2YVqc').append(layer.element);
    this.current = { item, position, layer };
    if (document.activeElement !== document.body) document.activeElement.blur();
    // The neighbours are wanted next.
    if (position !== null) {
      this.listing.at(position + 1);
      this.listing.at(position - 1);
    }
    if (panelIsOpen) layer.panel.show();
  }

  hide() {
    closeMenu();
    for (const layer of this.layers) layer.element.remove();
    this.layers = [];
    this.current = null;
  }

  // The photo beside the present one; at either end nothing.
  async neighbour(step) {
    const { position } = this.current;
    return position === null ? null : this.listing.at(position + step);
  }

  // One step after the other, however fast they are asked for.
  go(step) {
    this.work = this.work.then(async () => {
      const from = this.current;
      const item = from && await this.neighbour(step);
      if (item && this.current === from) this.show(item, from.position + step, 'push');
    });
  }

  download(how, what) {
    const { item } = this.current;
    const other = async () => ((await this.neighbour(1)) || (await this.neighbour(-1)))?.key;
    return download(item, how, what, other);
  }

  async onKey(event) {
    if (event.shiftKey && event.keyCode === 68) {
      this.download('key', 'current');
    } else if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      const { item } = this.current;
      const ignored = armed.has('key-ignored') && (await faults('arrow', item.key))['key-ignored'];
      if (!ignored) this.go(event.key === 'ArrowRight' ? 1 : -1);
    } else if (event.key === 'i') {
      this.current.layer.panel.toggle(!panelIsOpen);
    } else if (event.key === 'Escape') {
      if (!closeMenu()) this.leave();
    } else if (event.key === '#') {
      rpc('XwAOJf', [null, 1, [this.current.item.key], 3]);
    }
  }
}

class Layer {
  constructor(item, position, viewer) {
    this.item = item;
    this.viewer = viewer;
    const data = `%.@."${item.key}",null,${JSON.stringify(settings.album)},null]`;
    const picture = el('c-wiz.A7ANFe', {
      jsrenderer: 'saA6te', 'data-media-key': item.key, 'data-url': item.thumb, 'data-width': item.width,
      'data-height': item.height, 'data-p': data,
    }, this.media());
    const box = el('div.fzyONc', { 'data-media-key': item.key }, this.toolbar(),
      el('c-wiz', { jsrenderer: 'jmpo2c', 'data-p': data }, picture), ...this.arrows(position));
    this.element = el('c-wiz.Cv8Rjc.yDSiEe.YwDltc.view.layer', {
      role: 'main', jsrenderer: 'LhnIsc', 'data-p': data, 'data-media-key': item.key,
    }, box);
    this.panel = new Panel(box, item);
    info(item.key);
    this.tellState(picture);
  }

  media() {
    const image = el('img.BiCYpc', { src: `${this.item.thumb}=w168-h126-no`, alt: '' });
    setTimeout(() => image.setAttribute('aria-label', tileLabel(this.item)), 50);
    return this.item.video ? el('video', { tabindex: '-1', preload: 'none', 'aria-label': tileLabel(this.item) }) : image;
  }

  // A video that is not there yet says so.
  async tellState(picture) {
    const { state } = await faults('view', this.item.key);
    if (state === 'ready-soon') picture.append(el('div.ready-soon', {}, strings.readySoon));
  }

  toolbar() {
    const back = el('a', { 'aria-label': strings.back, href: settings.place ? `.${settings.place}${settings.query}` : './' });
    back.addEventListener('click', event => {
      event.preventDefault();
      this.viewer.leave();
    });
    const icon = (label, sign, action) => {
      const button = el('button.icon', { type: 'button', 'aria-label': label, 'data-icon': sign });
      button.addEventListener('click', action);
      return button;
    };
    const { key } = this.item;
    // Two of them would change the library: whoever presses them is counted.
    return el('div.bar', { role: 'menubar' }, back,
      icon(strings.edit, '\u270e', () => {}),
      icon(strings.openInfo, 'i', () => this.panel.toggle(true)),
      icon(strings.favourite, '\u2606', () => rpc('Ftfh0', [[key], [true]])),
      icon(strings.trash, '\u2421', () => rpc('XwAOJf', [null, 1, [key], 3])),
      menuButton(() => this.choices()));
  }

  async choices() {
    const answer = await info(this.item.key);
    const pairs = [[strings.download, () => this.viewer.download('menu', 'current')]];
    if (answer && field(answer, 8)) {
      pairs.push([strings.downloadOriginal, () => this.viewer.download('menu', 'original')]);
    }
    if (answer && readItem(answer[0]).clip) {
      pairs.push([strings.downloadVideo, () => this.viewer.download('menu', 'video')]);
    }
    return pairs;
  }

  // At the ends they stay, marked, and do nothing.
  arrows(position) {
    const last = this.viewer.listing.count - 1;
    const ends = [position === null || position === 0, position === null || position === last];
    return [[-1, 'OQEhnd', strings.previous], [1, 'Cwtbxf', strings.next]].map(([step, name, label], n) => {
      const arrow = el(`div.SxgK2b.${name}.arrow`, { role: 'button', tabindex: '0', 'aria-label': label });
      if (ends[n]) arrow.classList.add('RDPZE');
      arrow.addEventListener('click', () => this.viewer.go(step));
      return arrow;
    });
  }
}

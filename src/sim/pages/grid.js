// The grid: a scroller of fixed height with absolutely placed rows, of which only those near the
// viewport exist.
const [TILE, GAP, HEAD, LINE] = [168, 4, 44, 130];
const photoHref = key => `.${settings.place}/photo/${key}${settings.query}`;

class Grid {
  constructor(listing, open) {
    this.listing = listing;
    this.open = open;
    this.rows = new Map();
    this.chosen = new Set();
    this.awaited = null;
    this.left = [];
    this.space = el('div.yKzHyd');
    const bar = el('div.J3TAe', { role: 'menubar' }, el('span.rtExYb'));
    if (settings.album) {
      this.scroller = el('c-wiz.B6Rt6d.zcLWac.eejsDc', { jsrenderer: 'x3Fdbb' });
      this.scroller.append(el('div.cL5NYb', {}, settings.heading), this.space);
      this.root = el('c-wiz.DF792b.dhgHyf.yDSiEe.view', { role: 'main', jsrenderer: 'ZjZNec' }, this.scroller);
      bar.append(menuButton(() => [
        [strings.downloadAll, () => this.everyKey().then(downloadZip)],
      ]));
    } else {
      this.root = this.scroller =
        el('c-wiz.yDSiEe.uGCjIb.zcLWac.eejsDc.TWmIyd.view', { role: 'main' }, this.space);
    }
    this.scroller.classList.add('scroller');
    if (armed.has('grid-stuck')) this.scroller.style.overflow = 'clip';
    this.bar = bar;
    document.querySelector('.b2YVqc').append(bar, this.root);
    this.space.addEventListener('click', event => this.onClick(event));
    this.scroller.addEventListener('scroll', () => this.fill());
    new ResizeObserver(() => this.lay()).observe(this.scroller);
    this.lay();
  }

  // Places all sections; nothing is made yet.
  lay() {
    const columns = Math.max(1, Math.floor((this.scroller.clientWidth - 16) / (TILE + GAP)));
    if (columns === this.columns) return this.fill();
    this.columns = columns;
    let top = 8;
    for (const section of this.listing.sections) {
      section.top = top;
      section.height = (section.day === null ? 0 : HEAD) + Math.ceil(section.count / columns) * LINE;
      top += section.height;
    }
    for (const row of this.rows.values()) row.element.remove();
    this.rows.clear();
    this.space.style.height = `${top + 8}px`;
    this.fill();
  }

  // The first section that ends below a height.
  sectionAtHeight(height) {
    const { sections } = this.listing;
    let [low, high] = [0, sections.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sections[middle].top + sections[middle].height > height) high = middle; else low = middle + 1;
    }
    return low;
  }

  // Takes a row away, with whatever focus it had. Its photos stay in the document until there are others.
  leave(row) {
    if (row.element.contains(document.activeElement)) document.activeElement.blur();
    row.element.querySelector('.ow')?.remove();
    this.left.push(row.element);
  }

  // However far one jumps, the scroller is never without a photo: that is what clients know it by.
  sweep() {
    if (![...this.rows.values()].some(row => row.tiles.some(tile => tile.firstChild))) return;
    for (const element of this.left.splice(0)) element.remove();
  }

  // Makes the rows within a screen of the viewport, and takes the others away.
  fill() {
    const { sections } = this.listing;
    const height = this.scroller.clientHeight;
    if (sections.length === 0 || height === 0) return;
    const [from, to] = [this.scroller.scrollTop - height, this.scroller.scrollTop + 2 * height];
    const wanted = new Set();
    for (let n = this.sectionAtHeight(from); n < sections.length && sections[n].top < to; n++) wanted.add(n);
    for (const [n, row] of this.rows) {
      if (!wanted.has(n)) {
        this.rows.delete(n);
        if (row.tiles.some(tile => tile.firstChild)) this.leave(row); else row.element.remove();
      }
    }
    for (const n of wanted) if (!this.rows.has(n)) this.make(n);
    this.dressAll();
    if (this.soon) return;
    // What flies past is not loaded.
    this.soon = setTimeout(() => {
      this.soon = null;
      for (const n of this.rows.keys()) {
        if (!this.listing.isWhole(sections[n])) this.listing.load(n).then(() => this.refresh());
      }
    }, 30);
  }

  // Photos come from the top to the bottom: who has read up to one of them has not missed any above it.
  dressAll() {
    for (const n of [...this.rows.keys()].sort((a, b) => a - b)) {
      this.dress(n);
      if (!this.listing.isSettled(this.listing.sections[n])) break;
    }
    this.sweep();
  }

  refresh() {
    this.dressAll();
    if (this.awaited !== null) this.focus(this.awaited);
  }

  make(n) {
    const section = this.listing.sections[n];
    const element = el('div.row');
    element.style.cssText = `position:absolute;top:${section.top}px;left:8px;right:8px;height:${section.height}px`;
    if (section.day !== null) element.append(this.header(section));
    const tiles = [];
    for (let i = 0; i < section.count; i++) {
      const tile = el('div.rtIMgb.fCPuz', { jsname: 'NwW5ce' });
      const top = (section.day === null ? 0 : HEAD) + Math.floor(i / this.columns) * LINE;
      tile.style.cssText = `--ratio:1.5;left:${(i % this.columns) * (TILE + GAP)}px;top:${top}px`;
      tiles.push(tile);
    }
    element.append(...tiles);
    this.rows.set(n, { element, tiles });
    // In the order of the library, as those who walk over the document expect.
    const after = [...this.rows.keys()].filter(other => other > n).sort((a, b) => a - b)[0];
    this.space.insertBefore(element, after === undefined ? null : this.rows.get(after).element);
  }

  header(section) {
    const text = dayHeader(section.day);
    const box = el('div.R4HkWb', {
      role: 'checkbox', tabindex: '0', 'aria-checked': 'false', 'aria-label': `${strings.selectDay} ${text}`,
    });
    // The depth of this nest is what clients count on.
    const date = el('div', {}, el('div', {}, el('div', {}, el('div.xA0gfb', {}, text))));
    return el('div.ow', {}, box, date);
  }

  // Gives the tiles of a row their photos, as far as they are known. A tile once dressed keeps its nodes.
  dress(n) {
    const { start } = this.listing.sections[n];
    this.rows.get(n).tiles.forEach((tile, i) => {
      const item = this.listing.items[start + i];
      if (!item || tile.firstChild) return;
      const link = el('a.p137Zd', { tabindex: '0', href: photoHref(item.key) },
        el('img.hKgQud', { src: `${item.thumb}=w168-h126-no`, alt: '', width: TILE, height: LINE - GAP }),
        el('div.RY3tic'));
      link.position = start + i;
      const box = el('div.ckGgle', {
        role: 'checkbox', tabindex: '-1', 'aria-checked': String(this.chosen.has(item.key)),
      });
      tile.append(link, box);
      // Labels come late, as on the real page.
      setTimeout(() => {
        link.setAttribute('aria-label', tileLabel(item));
        box.setAttribute('aria-label', tileLabel(item));
      }, 100 + spread(item.key, 400));
    });
  }

  link(position) {
    const n = this.listing.sectionAt(position);
    const row = this.rows.get(n);
    return row ? row.tiles[position - this.listing.sections[n].start].querySelector('a') : null;
  }

  // The photo whose tile has the focus.
  focused() {
    const active = document.activeElement;
    return active && active.position !== undefined && this.space.contains(active) ? active.position : null;
  }

  firstVisible() {
    const frame = this.scroller.getBoundingClientRect();
    for (const n of [...this.rows.keys()].sort((a, b) => a - b)) {
      for (const tile of this.rows.get(n).tiles) {
        const box = tile.getBoundingClientRect();
        if (tile.firstChild && box.top >= frame.top - 1 && box.top < frame.bottom) return tile.firstChild;
      }
    }
    return null;
  }

  // Shows a photo's tile and gives it the focus, at once or when its data has come.
  focus(position) {
    const n = this.listing.sectionAt(position);
    const section = this.listing.sections[n];
    const line = Math.floor((position - section.start) / this.columns);
    const top = section.top + (section.day === null ? 0 : HEAD) + line * LINE;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top - HEAD;
    else if (top + LINE > scrollTop + clientHeight) this.scroller.scrollTop = top + LINE - clientHeight + 8;
    this.fill();
    const link = this.link(position);
    this.awaited = link ? null : position;
    if (link) link.focus();
  }

  onClick(event) {
    const day = event.target.closest('.R4HkWb');
    if (day) return this.chooseDay(day);
    const tile = event.target.closest('.rtIMgb');
    if (!tile || !tile.firstChild) return;
    const item = this.listing.items[tile.firstChild.position];
    event.preventDefault();
    if (event.target.closest('.ckGgle')) this.choose(item.key);
    else this.open(tile.firstChild.position, item);
  }

  choose(key) {
    if (!this.chosen.delete(key)) this.chosen.add(key);
    this.showChosen();
  }

  // All of a day, as far as its photos are known.
  chooseDay(box) {
    const wanted = box.getAttribute('aria-checked') !== 'true';
    box.setAttribute('aria-checked', String(wanted));
    for (const link of box.closest('.row').querySelectorAll('a')) {
      const { key } = this.listing.items[link.position];
      if (wanted) this.chosen.add(key); else this.chosen.delete(key);
    }
    this.showChosen();
  }

  showChosen() {
    this.bar.querySelector('.rtExYb').textContent = this.chosen.size > 0 ? String(this.chosen.size) : '';
    if (this.chosen.size === 0) {
      for (const box of this.space.querySelectorAll('.R4HkWb')) box.setAttribute('aria-checked', 'false');
    }
    for (const box of this.space.querySelectorAll('.ckGgle')) {
      const item = this.listing.items[box.previousSibling.position];
      box.setAttribute('aria-checked', String(this.chosen.has(item.key)));
    }
  }

  async everyKey() {
    const keys = [];
    for (let i = 0; i < this.listing.count; i++) {
      const item = await this.listing.at(i);
      if (item) keys.push(item.key);
    }
    return keys;
  }

  scrollBy(by) {
    this.scroller.scrollTop += by;
    this.fill();
  }

  onKey(event) {
    const at = this.focused();
    const screen = this.scroller.clientHeight * 0.9;
    const moves = {
      PageDown: screen, PageUp: -screen, ArrowDown: 40, ArrowUp: -40, End: 1e9, Home: -1e9,
    };
    if (event.key in moves && !event.shiftKey) {
      event.preventDefault();
      this.awaited = null;
      this.scrollBy(moves[event.key]);
    } else if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      event.preventDefault();
      const step = event.key === 'ArrowRight' ? 1 : -1;
      if (armed.has('grid-deaf')) return;
      if (at === null) {
        if (this.awaited === null && step > 0) this.firstVisible()?.focus();
      } else if (at + step >= 0 && at + step < this.listing.count) {
        this.focus(at + step);
      }
    } else if (event.shiftKey && event.keyCode === 68) {
      if (this.chosen.size > 1) downloadZip([...this.chosen]);
      else for (const key of this.chosen) download({ key }, 'key', 'current');
    } else if (event.key === 'x' && at !== null) {
      this.choose(this.listing.items[at].key);
    } else if (event.key === '#') {
      const keys = this.chosen.size > 0 ? [...this.chosen] : at === null ? [] : [this.listing.items[at].key];
      if (keys.length > 0) rpc('XwAOJf', [null, 1, keys, 3]);
    } else if (event.key === 'Escape') {
      this.chosen.clear();
      this.showChosen();
    }
  }
}

// The photos of a container: an index of days from the document, the items themselves by and by.
function readItem(row) {
  const tail = row[row.length - 1] || {};
  const live = tail['146008172'];
  return {
    key: row[0], thumb: row[1][0], width: row[1][1], height: row[1][2], taken: row[2], zone: row[4] || 0,
    video: !!tail['76647426'], live: !!live, clip: live ? live[3] : null,
  };
}

class Listing {
  constructor() {
    const { days, count } = settings.index;
    this.items = [];
    // Sections: runs of positions that are laid out together.
    this.sections = [];
    this.count = 0;
    if (days) {
      for (let i = 0; i < days.length; i += 2) {
        this.sections.push({ day: days[i], start: this.count, count: days[i + 1] });
        this.count += days[i + 1];
      }
    } else {
      for (; this.count < count; this.count += 24) {
        this.sections.push({ day: null, start: this.count, count: Math.min(24, count - this.count) });
      }
      this.count = count;
    }
    this.byDay = new Map(this.sections.map((section, n) => [section.day, n]));
    this.running = new Map();
    this.flow = { position: 0, section: -1, offset: 0, cursor: null };
    const first = firstData(settings.listing.rpcid);
    if (first) this.take(first, this.flow);
  }

  // The section that holds a position.
  sectionAt(position) {
    let [low, high] = [0, this.sections.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.sections[middle].start <= position) low = middle; else high = middle - 1;
    }
    return low;
  }

  isWhole(section) {
    for (let i = section.start; i < section.start + section.count; i++) if (!this.items[i]) return false;
    return true;
  }

  // Puts an answer into its places, going on where the flow stands; says whether there is more.
  take(answer, flow) {
    const rows = answer[settings.listing.rows] || [];
    for (const item of rows.map(readItem)) {
      if (settings.index.days) {
        const found = this.byDay.get(Math.floor(item.taken / DAY));
        if (found === undefined || this.isLost(this.sections[found])) continue;
        if (found !== flow.section) [flow.section, flow.offset] = [found, 0];
        if (flow.offset >= this.sections[found].count) continue;
        flow.position = this.sections[found].start + flow.offset++;
      }
      this.items[flow.position] = item;
      flow.position += 1;
    }
    flow.cursor = answer[settings.listing.next] || null;
    return flow.cursor !== null && rows.length > 0;
  }

  // Whether everything of a section is there that will come of itself.
  isSettled(section) {
    return section.done || section.failed || this.isWhole(section);
  }

  // For tests: a day that never comes.
  isLost(section) {
    return section.day % 5 === 0 && (armed.has('days-gone') || (armed.has('days-lost') && !settings.photo));
  }

  // Loads what a section lacks; says whether it went well. One call at a time for each place.
  load(number) {
    const section = this.sections[number];
    if (!section || section.done || this.isWhole(section)) return Promise.resolve(true);
    section.tries = (section.tries || 0) + 1;
    if (this.isLost(section) || (armed.has('days-fail') && section.day % 5 === 0 && section.tries <= 4)) {
      section.failed = true;
      return wait(50).then(() => false);
    }
    const from = settings.index.days ? number : -1;
    if (!this.running.has(from)) {
      const work = settings.index.days ? this.loadDay(section) : this.loadOn();
      section.failed = false;
      this.running.set(from, work.then(well => {
        section.failed = !well;
        return well;
      }).finally(() => this.running.delete(from)));
    }
    return this.running.get(from);
  }

  request(changes) {
    const request = structuredClone(settings.listing.request);
    for (const [place, value] of changes) request[place] = value;
    return request;
  }

  async loadDay(section) {
    const until = (section.day + 1) * DAY - 1;
    const flow = { position: section.start, section: -1, offset: 0, cursor: null };
    let answer = await rpc(settings.listing.rpcid, this.request([[settings.listing.start, until]]));
    // A day may be longer than a page.
    while (answer && this.take(answer, flow) && !this.isWhole(section)) {
      const last = answer[settings.listing.rows].at(-1);
      if (Math.floor(last[2] / DAY) < section.day) break;
      answer = await rpc(settings.listing.rpcid, this.request([[settings.listing.cursor[0], flow.cursor]]));
    }
    // Something was removed since the document came: do not ask for ever.
    section.done = answer !== null;
    return section.done;
  }

  // Without days, only forward from where the last answer ended.
  async loadOn() {
    const cursor = [settings.listing.cursor[0], this.flow.cursor];
    const answer = await rpc(settings.listing.rpcid, this.request([cursor]));
    if (answer && !this.take(answer, this.flow)) for (const section of this.sections) section.done = true;
    return answer !== null;
  }

  // The item at a position; nothing beyond the ends.
  async at(position) {
    if (position < 0 || position >= this.count) return null;
    for (let well = true; well && !this.items[position];) {
      const section = this.sectionAt(position);
      if (this.sections[section].done) break;
      well = await this.load(section);
    }
    return this.items[position] || null;
  }
}

// Texts of dates. Local time of the capture, worked out by hand so that they are the same everywhere.
const DAY = 86400000;
const localDate = item => new Date(item.taken + item.zone);
const pad = n => String(n).padStart(2, '0');

function monthAndDay(date) {
  const month = strings.months[date.getUTCMonth()];
  const day = date.getUTCDate();
  return strings.dayFirst ? `${day}${strings.dot} ${month}` : `${month} ${day}`;
}

function fullDate(date) {
  return `${monthAndDay(date)}${strings.dayFirst ? '' : ','} ${date.getUTCFullYear()}`;
}

// A narrow no-break space stands before AM and PM.
function clock(date, seconds) {
  const tail = `:${pad(date.getUTCMinutes())}${seconds ? `:${pad(date.getUTCSeconds())}` : ''}`;
  const hour = date.getUTCHours();
  if (strings.hours24) return pad(hour) + tail;
  return `${hour % 12 || 12}${tail}\u202f${hour < 12 ? 'AM' : 'PM'}`;
}

// `Today`, `Yesterday`, a weekday, then a date, with its year unless it is this one.
function dayHeader(day) {
  const now = new Date(settings.now - new Date(settings.now).getTimezoneOffset() * 60000);
  const ago = Math.floor(now.getTime() / DAY) - day;
  const date = new Date(day * DAY);
  if (ago === 0) return strings.today;
  if (ago === 1) return strings.yesterday;
  if (ago > 1 && ago < 6) return strings.longDays[date.getUTCDay()];
  const thisYear = date.getUTCFullYear() === now.getUTCFullYear();
  return `${strings.days[date.getUTCDay()]}, ${thisYear ? monthAndDay(date) : fullDate(date)}`;
}

const panelDate = date =>
  date.getUTCFullYear() === new Date(settings.now).getUTCFullYear() ? monthAndDay(date) : fullDate(date);
const panelTime = date => `${strings.days[date.getUTCDay()]}, ${clock(date, false)}`;

function zoneText(ms) {
  const minutes = Math.abs(ms) / 60000;
  return `GMT${ms < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}

// `Photo - Landscape - Feb 12, 2025, 6:34:39 PM`.
function tileLabel(item) {
  const shape = item.width > item.height ? 0 : item.width < item.height ? 1 : 2;
  const date = localDate(item);
  return `${strings.types[item.video ? 1 : 0]} - ${strings.shapes[shape]} - ${fullDate(date)}, ${clock(date, true)}`;
}

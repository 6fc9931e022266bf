// Drawings with their letters, kept in this browser, and as a zip of class folders for
// lenet-xp train --data drawings.zip --from letters.

import { framed } from "./pen.js";

const KEY = `lenet_xp drawings ${location.pathname}`; // other pages of this host may have other letters

export function kept() {
  try { return [].concat(JSON.parse(localStorage.getItem(KEY)) ?? []).filter((each) => each?.strokes); } catch { return []; }
}

/** Keep strokes as a drawing of a letter; false where the browser has no room. */
export function keep(name, strokes) {
  const rounded = strokes.map((stroke) => stroke.map((point) => point.map((each) => Math.round(each * 1e3) / 1e3)));
  try { localStorage.setItem(KEY, JSON.stringify([...kept(), { name, strokes: rounded }])); } catch { return false; }
  return true;
}

export function forget() { localStorage.removeItem(KEY); }

/** The drawings as a zip: name/number.png, 64 x 64 pixels, dark on light. */
export async function archive(drawings) {
  return zipped(await Promise.all(drawings.map(async ({ name, strokes }, i) => [`${folder(name)}/${i + 1}.png`, await png(framed(strokes, name).map((each) => 255 - each), 64)])));
}

/** A class's name as that of a folder which no system takes for a path. */
const folder = (name) => name.replace(/[/\\]|^\.+$/g, encodeURIComponent).replace(/^\.+$/, (dots) => "%2E".repeat(dots.length));

async function png(levels, side) {
  const rows = new Uint8Array(side * (side + 1)); // each begins with 0: no filter
  for (let y = 0; y < side; y++) rows.set(levels.subarray(y * side, (y + 1) * side), y * (side + 1) + 1);
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  const chunk = (kind, data) => {
    const body = joined([new TextEncoder().encode(kind), data]);
    return [big(data.length), body, big(crc(body))];
  };
  const head = joined([big(side), big(side), Uint8Array.of(8, 0, 0, 0, 0)]); // 8 bits, grey
  return joined([Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), ...chunk("IHDR", head), ...chunk("IDAT", new Uint8Array(await packed.arrayBuffer())), ...chunk("IEND", new Uint8Array())]);
}

/** A zip of [name, bytes] pairs, stored as they are. */
function zipped(files) {
  const local = [], central = [];
  let at = 0;
  for (const [name, bytes] of files) {
    const path = new TextEncoder().encode(name);
    // version 2.0, names in UTF-8, stored, 1 January 1980, sum, sizes, lengths of name and extra
    const about = little([20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [crc(bytes), 4], [bytes.length, 4], [bytes.length, 4], [path.length, 2], [0, 2]);
    local.push(little([0x04034b50, 4]), about, path, bytes);
    central.push(little([0x02014b50, 4], [20, 2]), about, little([0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), path);
    at += 30 + path.length + bytes.length;
  }
  const list = joined(central), count = [files.length, 2];
  return joined([...local, list, little([0x06054b50, 4], [0, 2], [0, 2], count, count, [list.length, 4], [at, 4], [0, 2])]);
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
  parts.reduce((at, each) => { all.set(each, at); return at + each.length; }, 0);
  return all;
}

const little = (...numbers) => Uint8Array.from(numbers.flatMap(([value, bytes]) => Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 255)));
const big = (value) => little([value, 4]).reverse();

function crc(bytes) {
  let sum = -1;
  for (const each of bytes) {
    sum ^= each;
    for (let k = 0; k < 8; k++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}

import type { KeyRange } from '@kwaai/interface'

/** UTF-8 orders by code point; in UTF-16 the surrogates of what is above U+FFFF stand before U+E000. */
function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800
  return unit >= 0xd800 ? unit + 0x2000 : unit
}

/** Orders strings as their UTF-8 bytes order. */
export function compareUtf8(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  for (let at = 0; at < shorter; at++) {
    const difference = rank(a.charCodeAt(at)) - rank(b.charCodeAt(at))
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** True for a key within the bounds. */
export function inRange(key: string, { gte, gt, lte, lt }: KeyRange): boolean {
  return (
    (gte === undefined || compareUtf8(key, gte) >= 0) &&
    (gt === undefined || compareUtf8(key, gt) > 0) &&
    (lte === undefined || compareUtf8(key, lte) <= 0) &&
    (lt === undefined || compareUtf8(key, lt) < 0)
  )
}

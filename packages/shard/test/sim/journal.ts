/** What an entry of the journal is about. */
export type EntryKind = 'fault' | 'call' | 'wire' | 'log' | 'violation'

/** One thing that happened. */
export interface Entry {
  /** Milliseconds of virtual time. */
  ms: number
  /** Awaits of the world until then. */
  at: number
  kind: EntryKind
  /** `client-1`, or `client-1 → server-2a`. */
  who: string
  what: string
}

/** Everything that happened in a world, in order. */
export interface Journal {
  readonly entries: readonly Entry[]
  add(kind: EntryKind, who: string, what: string): void
}

export function createJournal(now: () => { ms: number; at: number }): Journal {
  const entries: Entry[] = []
  return {
    entries,
    add: (kind, who, what) => void entries.push({ ...now(), kind, who, what })
  }
}

/** One line for each entry; two runs are the same when these texts are. */
export function journalText(entries: readonly Entry[]): string {
  return entries.map(entryLine).join('\n')
}

export function entryLine({ ms, at, kind, who, what }: Entry): string {
  const mark = kind === 'fault' ? '⚡' : kind === 'violation' ? '✗' : ' '
  return `${ms.toFixed(1).padStart(9)}  #${String(at).padEnd(5)} ${mark} ${who.padEnd(24)} ${what}`
}

/** Eight hex digits that tell one text from another: FNV-1a over UTF-16 units. */
export function fingerprint(text: string): string {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

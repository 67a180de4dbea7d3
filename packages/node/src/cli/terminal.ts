import type { Progress } from '../model/http-download.ts'

/** The streams and surroundings of a command, so that tests own them. */
export interface Io {
  stdin: NodeJS.ReadStream
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  env: NodeJS.ProcessEnv
  /** Aborts when the command is asked to end. */
  signal: AbortSignal
}

// Everything a terminal would obey: C0 but tab and newline, DEL, C1, and the marks that reorder text.
// oxlint-disable-next-line no-control-regex
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Text of others made safe to show: what a terminal would obey becomes U+FFFD. */
export function printable(text: string): string {
  return text.replace(obeyed, '\ufffd')
}

/** 98362432 → `93.8 MiB`. */
export function bytesText(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${names[unit]}`
}

/** JSON of what others may have written: the same value, with nothing in it that a terminal would obey. */
export function jsonText(value: unknown, indent: number = 0): string {
  return JSON.stringify(value, undefined, indent).replace(
    obeyed,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}

const barWidth = 28

/** One line that shows a download's state. */
export function progressLine({ source, receivedBytes, totalBytes }: Progress): string {
  if (totalBytes === undefined) return `${bytesText(receivedBytes)} from ${source}`
  const part = Math.min(1, receivedBytes / totalBytes)
  const filled = Math.round(part * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  return `${bar} ${String(Math.floor(part * 100)).padStart(3)} %  ${bytesText(receivedBytes)} of ${bytesText(totalBytes)} from ${source}`
}

/**
 * Shows progress on standard error: a bar on a terminal, a line each tenth elsewhere.
 *
 * @returns the listener, and a function that ends the bar's line.
 */
export function progressReporter(io: Io): { onProgress: (progress: Progress) => void; end: () => void } {
  const { stderr } = io
  let open = false
  let tenth = -1
  let lastDraw = 0
  return {
    onProgress: (progress) => {
      if (!stderr.isTTY) {
        const now =
          progress.totalBytes === undefined
            ? -1
            : Math.floor((10 * progress.receivedBytes) / progress.totalBytes)
        if (now > tenth) stderr.write(`Downloading the model: ${now * 10} % from ${progress.source}\n`)
        tenth = Math.max(tenth, now)
        return
      }
      const now = performance.now()
      const done = progress.receivedBytes === progress.totalBytes
      if (open && !done && now - lastDraw < 100) return
      lastDraw = now
      open = true
      stderr.write(`\r\u001b[K${progressLine(progress).slice(0, Math.max(20, (stderr.columns ?? 80) - 1))}`)
    },
    end: () => {
      if (open) stderr.write('\n')
      open = false
      tenth = -1
    }
  }
}

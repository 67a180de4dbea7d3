import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** A process and the words it was started with. */
export interface SeenProcess {
  pid: number
  command: string
}

/** Living processes below a process, with their command lines. Linux. */
export function descendants(pid: number): SeenProcess[] {
  const parents = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ')
      // A zombie has ended; only its parent has not looked yet.
      if (fields[0] === 'Z') continue
      const parent = Number(fields[1])
      parents.set(parent, [...(parents.get(parent) ?? []), Number(name)])
    } catch {
      // It ended while we looked.
    }
  }
  const below = (at: number): number[] => (parents.get(at) ?? []).flatMap((child) => [child, ...below(child)])
  return below(pid).map((child) => ({ pid: child, command: commandOf(child) }))
}

/** A process and all below it. */
export function family(pid: number): SeenProcess[] {
  return [{ pid, command: commandOf(pid) }, ...descendants(pid)]
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Waits, within a bound, until none of the processes lives under its old command line. */
export async function gone(processes: readonly SeenProcess[]): Promise<string[]> {
  const living = (): string[] =>
    processes
      .filter(({ pid, command }) => commandOf(pid) === command && command !== '')
      .map(({ command }) => command)
  const end = performance.now() + 15_000
  // Nothing tells of the end of a process that is not our child. Without the pause we would take the core it needs.
  while (living().length > 0 && performance.now() < end) await setTimeout(10)
  return living()
}

/** Memory in use and files open, of a process and all below it. Linux. */
export function usage(pid: number): { residentBytes: number; files: number } {
  let residentBytes = 0
  let files = 0
  for (const { pid: one } of family(pid)) {
    try {
      const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1]
      residentBytes += 1024 * Number(kilobytes ?? 0)
      files += readdirSync(`/proc/${one}/fd`).length
    } catch {
      // It ended while we looked.
    }
  }
  return { residentBytes, files }
}

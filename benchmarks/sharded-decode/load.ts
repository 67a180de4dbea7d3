import { readFileSync } from 'node:fs'

/** Busy processor time of the machine since it started, in seconds, and the part of it that is this program's. */
function busySeconds(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (
    readFileSync('/proc/stat', 'utf8').split('\n')[0] as string
  )
    .split(/\s+/)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) / 100
}

/** Cores kept busy while the contenders are idle: what others do to the measurement. */
export async function foreignLoad(ms: number = 250): Promise<number> {
  const before = busySeconds()
  await new Promise((resolve) => setTimeout(resolve, ms))
  return (busySeconds() - before) / (ms / 1000)
}

/** Resident bytes of processes and those of their children that compute. */
export function residentBytes(pids: readonly number[]): number {
  let bytes = 0
  for (const pid of pids) {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    bytes += pages * 4096 + residentBytes(children.map(Number).filter(computes))
  }
  return bytes
}

/** True for ggml's process; this program's other children are contenders of their own. */
function computes(pid: number): boolean {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/ggml/')
}

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

import { readFileSync } from 'node:fs'

const pollMs = 1_000
const maxAncestors = 64

/** Parent of a process, or `undefined` where there is no such process or no such file system. */
function parentOf(pid: number): number | undefined {
  try {
    // The name in brackets may hold anything, brackets too.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(fields[1])
  } catch {
    return undefined
  }
}

function isPackageManager(pid: number): boolean {
  try {
    const [program = '', script = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return /^(.*\/)?(npm|npx|pnpm)(\s|$)/.test(program) || /\/(npm|npx|pnpm)(-cli)?(\.c?js)?$/.test(script)
  } catch {
    return false
  }
}

/** Who started whom, from this process up to the package manager that was typed: `[child, parent]`. */
export function launcherChain(pid: number = process.pid): [child: number, parent: number][] {
  const chain: [number, number][] = []
  let length = 0
  for (let child = pid; chain.length < maxAncestors;) {
    const parent = parentOf(child)
    if (parent === undefined || parent <= 1) break
    chain.push([child, parent])
    if (isPackageManager(parent)) length = chain.length
    child = parent
  }
  return chain.slice(0, length)
}

/**
 * Calls `onGone` when the `npm` or `npx` that started this process has ended. They do not hand signals on, so
 * whoever ends them would leave this process behind. Linux only; elsewhere nothing is watched.
 */
export function watchLauncher(onGone: () => void): void {
  if (process.env['npm_lifecycle_event'] === undefined) return
  const chain = launcherChain()
  if (chain.length === 0) return
  const timer = setInterval(() => {
    // A process whose parent has ended is given to another one.
    if (chain.every(([child, parent]) => parentOf(child) === parent)) return
    clearInterval(timer)
    onGone()
  }, pollMs)
  timer.unref()
}

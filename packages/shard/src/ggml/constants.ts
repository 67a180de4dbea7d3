/** Builds of llama.cpp this door knows: version of the npm package, version and commit of its ggml. */
export const knownBuilds: readonly { packageVersion: string; ggmlVersion: string; ggmlCommit: string }[] = [
  { packageVersion: '3.21.1', ggmlVersion: '0.23.0', ggmlCommit: '5b4ebc5' }
]

/** `ggml_tensor_overhead()` of the known builds: a cheap check of the layout of their structures. */
export const tensorOverhead: number = 368

/** Fewest query rows of ggml's tiled attention kernel on the CPU (ggml-cpu, `ggml_fa_tile_config`). */
export const tileRows: number = 64

/** Graphs are built for cache lengths that are multiples of this; llama.cpp pads its own alike. */
export const kvBucket: number = 256

/** Most rows of one graph; longer steps run as several. It bounds the memory of a computation. */
export const maxGraphRows: number = 512

/** Most graphs kept by a runner. */
export const maxGraphs: number = 32

/**
 * Numbers of rows whose logits are computed together, where that changes no bit. ggml's product for several rows of
 * Q8_0, Q4_0, Q5_0 and IQ4_NL works in tiles (`llamafile_sgemm`); for two, three, five and seven rows it takes as
 * long as one by one, or longer.
 */
export const logitsRows: readonly number[] = [8, 6, 4, 1]

/**
 * Milliseconds a few rows wait for others, where several generate, before their logits are computed: four together take
 * 1.3 to 2.2 times as long as one.
 */
export const maxLogitsHoldMs: number = 2

/** Embeddings of likely tokens that a head keeps at hand. */
export const keptEmbeddings: number = 32

/** Bytes of weights that travel to the child process in one message. */
export const pieceBytes: number = 4 * 2 ** 20

/** Default bound of all caches of one backend, in bytes. */
export const defaultMaxKvBytes: number = 4 * 2 ** 30

/** Default bound of calls that wait. */
export const defaultMaxWaitingCalls: number = 256

/** Calls the child process has at a time: the one it computes and the next. */
export const maxSentCalls: number = 2

/** Default wait for the child process to load its libraries and test itself, in milliseconds. */
export const defaultStartTimeoutMs: number = 30_000

/** Processes started in the place of crashed ones within {@link restartWindowMs}. */
export const maxRestarts: number = 5

/** For how long a crash counts, in milliseconds. */
export const restartWindowMs: number = 600_000

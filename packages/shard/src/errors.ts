import { KwaaiError, type KwaaiErrorOptions } from '@kwaai/interface'

/** Every code this package throws, and when. The README lists the same. */
export const shardErrors = {
  // gguf: the file
  ERR_GGUF_INVALID: 'The file is no GGUF file, or its header contradicts itself',
  ERR_GGUF_TRUNCATED: 'The file ends before the end of what it announces',
  ERR_GGUF_LIMIT_EXCEEDED: 'A count, a length or a size in the header is above the limits of the reader',
  ERR_GGUF_UNSUPPORTED: 'The file needs something this package does not compute, named in the message',
  ERR_GGUF_MISSING_METADATA: 'A metadata key is missing or has the wrong type',
  ERR_GGUF_INVALID_TENSOR: 'A tensor is missing, or its shape or type does not fit the model',
  // gguf: where bytes come from
  ERR_SOURCE_OUT_OF_BOUNDS: 'A read reaches past the end of the source',
  ERR_SOURCE_UNREACHABLE: 'The source cannot be opened or read',
  ERR_SOURCE_RANGES_UNSUPPORTED: 'The server does not answer range requests',
  ERR_SOURCE_CHANGED: 'The source changed, or answered with other bytes than those asked for',
  ERR_SOURCE_UNSUPPORTED: 'This platform has no such source',
  // safetensors, onnx-graph and encoder: text to vectors
  ERR_SAFETENSORS_INVALID: 'The file is no safetensors file, or its header contradicts itself',
  ERR_SAFETENSORS_TRUNCATED: 'The file ends before the end of what it announces',
  ERR_SAFETENSORS_LIMIT_EXCEEDED: 'The header is longer, or names more tensors, than the reader takes',
  ERR_ONNX_INVALID: 'A graph contradicts itself: a name nothing makes, a tensor that does not fit its shape',
  ERR_ONNX_LIMIT_EXCEEDED: 'A graph is larger than a file of its format may be',
  ERR_ENCODER_INVALID_INIT: 'An option of an embedder is out of range; details.option',
  ERR_ENCODER_INVALID_CONFIG: 'A key of config.json is missing or out of range; details.key',
  ERR_ENCODER_UNSUPPORTED: 'The encoder needs something this package does not compute, named in the message',
  ERR_ENCODER_INVALID_TENSOR: 'A weight is missing, or its shape or type does not fit; details.tensor',
  // block backends
  ERR_BACKEND_INVALID_RANGE: 'The model has no such blocks',
  ERR_BACKEND_INVALID_STEP: 'A step does not fit its session, or a row has the wrong length',
  ERR_BACKEND_INVALID_TOKEN: 'A token id lies outside the vocabulary',
  ERR_BACKEND_INVALID_KV: 'Key and value rows do not fit the session',
  ERR_BACKEND_NOT_FINITE: 'A row has a value that is not finite, or that no model makes',
  ERR_BACKEND_UNKNOWN_SESSION: 'The handle names no open session of this runner',
  ERR_BACKEND_OUT_OF_MEMORY: 'There is no room for the weights or the session',
  ERR_BACKEND_BUSY: 'Too many calls wait for this runner',
  ERR_BACKEND_UNAVAILABLE: 'The backend cannot be started here: a package is missing, or its self-test fails',
  ERR_BACKEND_CRASHED:
    'The process that computes ended with its sessions; the next call starts another, five in ten minutes',
  ERR_BACKEND_FAILED: 'The backend met an error it does not expect',
  ERR_BACKEND_CLOSED: 'The backend or the runner was closed',
  // session and route: what a block server or a client refuses
  ERR_SHARD_INVALID_FRAME: 'A frame is not one of the protocol, or is larger than allowed',
  ERR_SHARD_INVALID_INIT: 'An option of a server, a chain or a plan is out of range',
  ERR_SHARD_MODEL_MISMATCH: 'The server holds another model',
  ERR_SHARD_RANGE_MISMATCH: 'The server runs other blocks than the request names',
  ERR_SHARD_NUMERICS_MISMATCH: 'The server computes in another numerics class',
  ERR_SHARD_RESIDUAL_UNSUPPORTED: 'The server does not speak this residual format',
  ERR_SHARD_KERNEL_UNSUPPORTED: 'The server knows no such attention kernel',
  ERR_SHARD_PUSH_REFUSED: 'A server does not hand rows to another one, or does not expect them from it',
  ERR_SHARD_NEXT_LOST: 'A server lost the way to the next one; the session itself lives on',
  ERR_SHARD_DRAINING: 'The server is going away and takes no new sessions',
  ERR_SHARD_UNAUTHORIZED: 'The authorizer of the server turned the caller away',
  ERR_SHARD_SESSION_FOREIGN: 'The session belongs to another caller, or to another channel',
  ERR_SHARD_SESSION_EXPIRED: 'Nothing was heard of the session for too long',
  ERR_SHARD_SERVER_FULL: 'The server has no room for another session; details.retryAfterMs',
  ERR_SHARD_OVERLOADED: 'Too many steps wait already; details.retryAfterMs where it is known',
  ERR_SHARD_CONTEXT_EXCEEDED: 'The session would hold more rows than it was opened for',
  ERR_SHARD_INVALID_STEP: 'A step has a shape the chain or the server cannot run',
  ERR_SHARD_INVALID_VALUES: 'A row holds a value that is not finite, or that no model makes',
  ERR_SHARD_STEP_GAP: 'Rows or steps before this one are missing',
  ERR_SHARD_STEP_CONFLICT: 'The number of the step was used for other content',
  ERR_SHARD_STEP_STALE: 'The step was done long ago and its result is not kept any more',
  ERR_SHARD_DEADLINE_EXCEEDED: 'The time the step was given is over',
  ERR_SHARD_BACKEND_FAILED: 'The server could not compute the step',
  ERR_SHARD_STOPPED: 'The server is stopping',
  ERR_SHARD_HOP_FAILED: 'A server of the chain died, hung or was not reached; details.peer, from, to, step',
  ERR_SHARD_INVALID_RESULT: 'A server of the chain sent a result that cannot be right',
  ERR_SHARD_CHAIN_CLOSED: 'The chain was closed',
  ERR_SHARD_INVALID_ADVERT: 'An advert of a block server is malformed or too large',
  // generate: tokens, templates, sampling
  ERR_TOKENIZER_UNSUPPORTED: 'The tokenizer model or pre-tokenizer is unknown, named in the message',
  ERR_TOKENIZER_INVALID: 'The vocabulary of the model contradicts itself',
  ERR_TEMPLATE_MISSING: 'The model has no chat template',
  ERR_TEMPLATE_INVALID: 'The chat template cannot be parsed',
  ERR_TEMPLATE_FAILED: 'The chat template does what this package does not know, or what makes no sense',
  ERR_TEMPLATE_REFUSED: 'The chat template itself refuses the messages, with its own words',
  ERR_TEMPLATE_LIMIT_EXCEEDED: 'The chat template wants more steps, time, depth or text than it is allowed',
  ERR_GENERATE_INVALID_LOGITS: 'A logit is NaN or +∞, or none is finite',
  ERR_GENERATE_FAILED: 'The blocks or the head failed in a way they have no code for',
  // language models: the codes of the contract
  ERR_MODEL_UNAVAILABLE: 'Nobody can serve the request now; details.retryAfterMs',
  ERR_MODEL_CONTEXT_EXCEEDED:
    'The prompt leaves no room in the context; details.promptTokens, details.contextLength',
  ERR_MODEL_UNSUPPORTED: 'The model does not do what an option asks for; details.param',
  ERR_MODEL_INVALID_REQUEST: 'An option or a message is out of range; details.param'
} as const

/** A code of this package. */
export type ShardErrorCode = keyof typeof shardErrors

/** Makes an error of this package. */
export function shardError(
  code: ShardErrorCode,
  message: string,
  options?: KwaaiErrorOptions
): KwaaiError<ShardErrorCode> {
  return new KwaaiError(code, message, options)
}

import type { RowKernel } from '@kwaai/interface'
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { maxHeaderBytes, sessionKeyBytes } from '../constants.ts'
import { shardError } from '../errors.ts'
import {
  FrameSchema,
  type Failure,
  type Frame,
  type Hop,
  type Joined,
  type Open,
  type Opened,
  type Report,
  type Result,
  type Route,
  type Stamp,
  type Step
} from '../gen/shard_pb.ts'

/** The header of a frame, by kind. */
export type FrameBody = Exclude<Frame['body'], { case: undefined }>

/** A header to encode: fields left out are unset. */
export type FrameInit = Exclude<
  NonNullable<MessageInitShape<typeof FrameSchema>['body']>,
  { case: undefined }
>

/** A frame as it was read: the header and a view of the payload. */
export interface DecodedFrame {
  body: FrameBody
  /** The frame's own memory. */
  payload: Uint8Array
}

/** Limits while reading a frame. */
export interface FrameLimits {
  /** Bytes of the whole frame. */
  maxFrameBytes: number
}

/** Longest words and lists a header may have, so that nothing bigger is ever kept or shown. */
const maxWordLength = 32
const maxNameLength = 256
const maxMessageLength = 512
const maxHops = 256
const maxDetails = 16
const maxAuthorizationBytes = 8_192
const maxCommitmentBytes = 64
const unknownFields = { readUnknownFields: false } as const

const invalid = (what: string, cause?: unknown): Error =>
  shardError('ERR_SHARD_INVALID_FRAME', `Cannot read the frame: ${what}`, { cause })

/**
 * The parts of a frame, for `Channel.send`: length and header in one, the payload as it is.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_FRAME` when the header is too long.
 */
export function encodeFrame(body: FrameInit, payload?: Uint8Array): Uint8Array[] {
  const header = toBinary(FrameSchema, create(FrameSchema, { body }))
  if (header.length > maxHeaderBytes) throw invalid(`the header has ${header.length} bytes`)
  const front = new Uint8Array(2 + header.length)
  front[0] = header.length >>> 8
  front[1] = header.length & 0xff
  front.set(header, 2)
  return payload === undefined || payload.length === 0 ? [front] : [front, payload]
}

/**
 * Reads a frame. Everything is checked that can be without knowing the session; the payload is not copied.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_FRAME` for anything that is not a frame of the protocol.
 */
export function decodeFrame(bytes: Uint8Array, limits: FrameLimits): DecodedFrame {
  if (bytes.length > limits.maxFrameBytes) throw invalid(`it has ${bytes.length} bytes`)
  if (bytes.length < 2) throw invalid('it ends before its header')
  const length = ((bytes[0] as number) << 8) | (bytes[1] as number)
  if (length > maxHeaderBytes) throw invalid(`its header has ${length} bytes`)
  if (bytes.length < 2 + length) throw invalid('it ends inside its header')
  const payload = bytes.subarray(2 + length)
  let body: Frame['body']
  try {
    body = fromBinary(FrameSchema, bytes.subarray(2, 2 + length), unknownFields).body
  } catch (error) {
    throw invalid('its header is no protobuf message', error)
  }
  if (body.case === undefined) throw invalid('its header has no known message')
  checkBody(body, payload)
  return { body, payload }
}

function checkBody(body: FrameBody, payload: Uint8Array): void {
  if (body.value.session.length !== sessionKeyBytes) {
    // A failure may come before the server could read a key.
    if (body.case !== 'failure' || body.value.session.length !== 0)
      throw invalid('its session key has a wrong length')
  }
  const hasRows = body.case === 'step' || body.case === 'result'
  if (!hasRows && payload.length > 0) throw invalid(`a message "${body.case}" has no payload`)
  if (body.case === 'open') checkOpen(body.value)
  else if (body.case === 'opened') checkOpened(body.value)
  else if (body.case === 'step') checkStep(body.value, payload)
  else if (body.case === 'result') checkResult(body.value, payload)
  else if (body.case === 'failure') checkFailure(body.value)
  else if (body.case === 'route') checkRoute(body.value)
  else if (body.case === 'routed') checkRouteNumber(body.value)
  else if (body.case === 'joined') checkJoined(body.value)
  else if (body.case === 'report') checkReport(body.value)
}

function checkOpen(open: Open): void {
  if (open.model.length !== 32) throw invalid('its model hash has a wrong length')
  if (open.from >= open.to) throw invalid(`its blocks ${open.from} to ${open.to} are no range`)
  if (open.maxTokens === 0) throw invalid('its session has room for no rows')
  checkText(open.residual, maxWordLength, 'residual format')
  checkText(open.numericsClass, maxNameLength, 'numerics class')
  checkText(open.traceparent, maxNameLength, 'trace context')
  if (open.authorization.length > maxAuthorizationBytes) throw invalid('its authorization is too long')
  if (open.before !== undefined) checkHop(open.before)
}

function checkHop(hop: Hop): void {
  if (hop.peer === '') throw invalid('a hop has no peer')
  checkText(hop.peer, maxNameLength, 'peer')
  if (hop.from >= hop.to) throw invalid(`the blocks ${hop.from} to ${hop.to} of a hop are no range`)
  if (hop.session.length !== 0 && hop.session.length !== sessionKeyBytes) {
    throw invalid('the session key of a hop has a wrong length')
  }
}

function checkRoute(route: Route): void {
  checkRouteNumber(route)
  if (route.before !== undefined) checkHop(route.before)
  if (route.after === undefined) return
  checkHop(route.after)
  if (route.after.session.length === 0) throw invalid('the next hop has no session key')
}

function checkRouteNumber({ route }: { route: number }): void {
  if (route === 0) throw invalid('its route has no number')
}

function checkJoined(joined: Joined): void {
  if (joined.last === 0 && joined.past > 0) throw invalid('it holds rows of no step')
}

function checkReport(report: Report): void {
  if (report.done > report.last || report.pending > report.last) {
    throw invalid('it reports more steps than it admitted')
  }
}

function checkStamps(stamps: readonly Stamp[]): void {
  if (stamps.length > maxHops) throw invalid(`it has stamps of ${stamps.length} hops`)
  for (const { from, to } of stamps) if (from >= to) throw invalid('a stamp is of no range')
}

function checkOpened(opened: Opened): void {
  checkText(opened.numericsClass, maxNameLength, 'numerics class')
  if (opened.hiddenSize === 0 || opened.maxPendingSteps === 0 || opened.maxStepRows === 0) {
    throw invalid('a limit of the session is zero')
  }
}

function checkStep(step: Step, payload: Uint8Array): void {
  if (step.step === 0) throw invalid('its step has no number')
  if (step.from >= step.to) throw invalid(`its blocks ${step.from} to ${step.to} are no range`)
  if (step.rows === 0) throw invalid('its step has no rows')
  checkText(step.kernel, maxWordLength, 'kernel')
  checkText(step.residual, maxWordLength, 'residual format')
  checkText(step.traceparent, maxNameLength, 'trace context')
  if (step.commitment.length > maxCommitmentBytes) throw invalid('its commitment is too long')
  if (step.previous >= step.step) throw invalid('it does not come after the step before it')
  checkStamps(step.stamps)
  if (!isWanted(step.wanted)) throw invalid('it does not say which rows are wanted')
  checkRowBytes(step.rows, payload)
}

function checkResult(result: Result, payload: Uint8Array): void {
  if (result.step === 0) throw invalid('its step has no number')
  checkText(result.residual, maxWordLength, 'residual format')
  checkText(result.numericsClass, maxNameLength, 'numerics class')
  if (result.commitment.length > maxCommitmentBytes) throw invalid('its commitment is too long')
  checkStamps(result.stamps)
  checkRowBytes(result.rows, payload)
}

function checkFailure(failure: Failure): void {
  if (!/^ERR_[A-Z0-9_]{1,60}$/.test(failure.code)) throw invalid('its failure has no code')
  checkText(failure.message, maxMessageLength, 'message')
  const details = Object.entries(failure.details)
  if (details.length > maxDetails) throw invalid('its failure has too many details')
  for (const [name, value] of details) {
    checkText(name, maxWordLength, 'detail')
    checkText(value, maxNameLength, 'detail')
  }
}

function checkText(text: string, max: number, what: string): void {
  if (text.length > max) throw invalid(`its ${what} has ${text.length} characters`)
}

function checkRowBytes(rows: number, payload: Uint8Array): void {
  // Two bytes a value is the least any residual format has.
  const fits = rows === 0 ? payload.length === 0 : payload.length > 0 && payload.length % (2 * rows) === 0
  if (!fits) throw invalid(`${payload.length} bytes are not ${rows} rows`)
}

/** True for a kernel this version knows. */
export function isKernel(word: string): word is RowKernel {
  return word === 'tile' || word === 'vec'
}

/** True for `none`, `last` and `all`. */
export function isWanted(word: string): word is 'none' | 'last' | 'all' {
  return word === 'none' || word === 'last' || word === 'all'
}

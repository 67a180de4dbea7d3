import { bytesToHex } from '@noble/hashes/utils.js'
import { decodeFrame, type FrameBody } from '../../src/session/index.ts'

/** A frame of the protocol as the simulation sees it pass. */
export interface SeenFrame {
  body: FrameBody | undefined
  /** "step 7: 2 vec rows after 12". */
  text: string
}

export function readFrame(bytes: Uint8Array): SeenFrame {
  try {
    const { body } = decodeFrame(bytes, { maxFrameBytes: bytes.length })
    return { body, text: textOf(body) }
  } catch {
    return { body: undefined, text: `${bytes.length} bytes that are no frame` }
  }
}

const rowsText = (rows: number): string => (rows === 1 ? '1 row' : `${rows} rows`)

function textOf(body: FrameBody): string {
  const { value } = body
  switch (body.case) {
    case 'step': {
      const { step, rows, kernel, past, previous, wanted } = body.value
      const order = previous === step - 1 ? '' : ` following step ${previous}`
      return `step ${step}: ${rows} ${kernel} row${rows === 1 ? '' : 's'} after ${past}${order}, ${wanted} wanted`
    }
    case 'result':
      return `result ${body.value.step}: ${rowsText(body.value.rows)}, ${body.value.past} held`
    case 'failure': {
      const { step, route, code, message } = body.value
      const of = route > 0 ? ` of route ${route}` : step > 0 ? ` of step ${step}` : ''
      return `failure${of}: ${code} ${message}`
    }
    case 'open': {
      const { from, to, maxTokens, before, forward } = body.value
      const push = `${before === undefined ? '' : `, rows from ${before.peer}`}${forward ? ', forwarding' : ''}`
      return `open ${keyText(value.session)}: blocks ${from} to ${to - 1}, ${rowsText(maxTokens)}${push}`
    }
    case 'route': {
      const { route, before, after, answered, last } = body.value
      const from = before === undefined ? 'the client' : before.peer
      const to = after === undefined ? `the client from step ${last + 1}` : after.peer
      return `route ${route}: from ${from} to ${to}, answered ${answered}`
    }
    case 'routed':
      return `routed ${body.value.route}`
    case 'join':
      return `join ${keyText(value.session)}`
    case 'joined':
      return `joined: step ${body.value.last} was the last, ${rowsText(body.value.past)}`
    case 'report': {
      const { last, done, past, pending } = body.value
      return `report: ${last} admitted, ${done} done, ${rowsText(past)}, ${pending} pending`
    }
    case 'notice':
      return `notice: it goes in ${body.value.deadlineMs} ms`
    default:
      return `${body.case} ${keyText(value.session)}`
  }
}

export function keyText(session: Uint8Array): string {
  return bytesToHex(session.subarray(0, 3))
}

import { encodeFrame, type FrameInit } from '../src/session/index.ts'
import { rowsToBytes } from '../src/session/rows.ts'
const session = new Uint8Array(16).fill(7)

/** A frame in one piece. */
export function joined(body: FrameInit, payload?: Uint8Array): Uint8Array {
  const parts = encodeFrame(body, payload)
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** A frame of every kind, bare and with every field. */
export const samples: Record<string, { body: FrameInit; rows?: number[] }> = {
  open: {
    body: {
      case: 'open',
      value: {
        session,
        model: new Uint8Array(32).fill(0xab),
        from: 10,
        to: 20,
        maxTokens: 2048,
        residual: 'f32',
        numericsClass: 'ggml 3.21.1 x64 avx512',
        deadlineMs: 10_000
      }
    }
  },
  'open with every field': {
    body: {
      case: 'open',
      value: {
        session,
        model: new Uint8Array(32).fill(0xab),
        from: 10,
        to: 20,
        maxTokens: 2048,
        residual: 'f16',
        numericsClass: 'reference/1',
        before: { peer: 'before', from: 0, to: 10 },
        forward: true,
        authorization: Uint8Array.of(1, 2, 3),
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        deadlineMs: 4_294_967_295
      }
    }
  },
  opened: {
    body: {
      case: 'opened',
      value: {
        session,
        numericsClass: 'reference/1',
        hiddenSize: 576,
        maxPendingSteps: 16,
        maxStepRows: 512,
        idleTimeoutMs: 120_000
      }
    }
  },
  step: {
    body: {
      case: 'step',
      value: {
        session,
        step: 3,
        from: 10,
        to: 20,
        past: 65,
        rows: 1,
        kernel: 'vec',
        wanted: 'last',
        residual: 'f32',
        deadlineMs: 30_000,
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        commitment: new Uint8Array(32).fill(9),
        previous: 2,
        stamps: [
          { from: 0, to: 4, computeUs: 1200, queueUs: 3 },
          { from: 4, to: 10, computeUs: 1900, queueUs: 0 }
        ]
      }
    },
    rows: [1, -2, 0.5, 1e8]
  },
  result: {
    body: {
      case: 'result',
      value: {
        session,
        step: 3,
        rows: 1,
        past: 66,
        computeUs: 3100,
        queueUs: 12,
        residual: 'f32',
        numericsClass: 'reference/1',
        commitment: new Uint8Array(32).fill(9),
        stamps: [{ from: 0, to: 10, computeUs: 3000, queueUs: 8 }]
      }
    },
    rows: [1, -2, 0.5, 1e8]
  },
  'result without rows': {
    body: { case: 'result', value: { session, step: 2, past: 64, computeUs: 40_000, residual: 'f32' } }
  },
  failure: {
    body: {
      case: 'failure',
      value: {
        session,
        step: 4,
        code: 'ERR_SHARD_STEP_GAP',
        message: 'Cannot run step 4: the last step here is 2',
        retryAfterMs: 1500,
        details: { row: '3' }
      }
    }
  },
  'failure of a route': {
    body: {
      case: 'failure',
      value: {
        session,
        code: 'ERR_SHARD_PUSH_REFUSED',
        message: 'Cannot hand rows on: the next server refused',
        details: { peer: 'after' },
        route: 2
      }
    }
  },
  close: { body: { case: 'close', value: { session } } },
  route: {
    body: {
      case: 'route',
      value: {
        session,
        route: 2,
        before: { peer: 'before', from: 0, to: 10 },
        after: { peer: 'after', from: 20, to: 30, session: new Uint8Array(16).fill(2) },
        answered: 41
      }
    }
  },
  'route back to the caller': {
    body: { case: 'route', value: { session, route: 3, answered: 41, last: 39 } }
  },
  routed: { body: { case: 'routed', value: { session, route: 2 } } },
  join: { body: { case: 'join', value: { session } } },
  joined: { body: { case: 'joined', value: { session, last: 41, past: 105 } } },
  probe: { body: { case: 'probe', value: { session, nonce: 4_294_967_295 } } },
  report: {
    body: { case: 'report', value: { session, nonce: 7, last: 43, done: 41, past: 107, pending: 2 } }
  },
  notice: { body: { case: 'notice', value: { session, draining: true, deadlineMs: 20_000 } } }
}

export function bytesOf({ body, rows }: { body: FrameInit; rows?: number[] }): Uint8Array {
  return joined(body, rows === undefined ? undefined : rowsToBytes(Float32Array.from(rows)))
}

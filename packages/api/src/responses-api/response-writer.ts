import type { Clock } from '@kwaai/interface'
import type { Answer } from '../answer.ts'
import type { AnswerCollector, FrameWriter } from '../respond.ts'
import { createResponseAssembler } from './assembler.ts'
import { createFrameWriter } from './events.ts'
import type { ResponseObject, ResponseSettings } from './objects.ts'

/** Makes a response of an answer, in one piece or as events. */
export interface ResponseWriter extends AnswerCollector, FrameWriter {
  value(): Promise<ResponseObject>
  end(): Promise<string>
}

/**
 * Writes one response. It is kept before its last event is told, so that whoever reads that can go on from it.
 * @param keep keeps the response, and says whether it did
 */
export function createResponseWriter(
  answer: Answer,
  settings: Readonly<ResponseSettings>,
  clock: Clock,
  keep: (response: ResponseObject) => Promise<boolean>
): ResponseWriter {
  const assembler = createResponseAssembler(answer.head, settings)
  const frame = createFrameWriter()

  const value = async (): Promise<ResponseObject> => {
    const usage = answer.usage()
    const response = assembler.finish(usage, Math.floor(clock.now() / 1000))
    return { ...response, store: await keep(response) }
  }

  return {
    value,
    add: (event) => void assembler.add(event),
    write: (event) => assembler.add(event).map(frame).join(''),
    async end() {
      const response = await value()
      return frame({
        type: response.status === 'incomplete' ? 'response.incomplete' : 'response.completed',
        response
      })
    },
    failed: (refusal) => assembler.fail(refusal).map(frame).join('')
  }
}

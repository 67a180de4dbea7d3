import { auditSinkSuite } from '@kwaai/testing'
import { test } from 'vitest'
import { collect, logKit } from './log-kit.ts'

auditSinkSuite(test, {
  create: async () => {
    const { log } = logKit()
    return {
      sink: log,
      read: async (subject) =>
        (await collect(log.entriesOf(subject))).map(({ record, data }) => ({
          kind: record.kind,
          data
        }))
    }
  }
})

import { test } from 'vitest'
import { endDemo } from './end-demo.ts'

// `npm test` does it with SIGKILL and SIGTERM.
test.runIf(process.platform === 'linux')('the demonstration leaves no process behind after SIGHUP', () =>
  endDemo('SIGHUP')
)

// One contender in a process of its own; it tells its port, and its processor time when asked.
import { contenders } from './contenders.ts'

const start = contenders[process.argv[2] ?? '']
if (start === undefined) throw new Error(`There is no contender "${process.argv[2]}"`)
process.send?.({ port: await start() })
process.on('message', () => process.send?.({ cpu: process.cpuUsage() }))
process.on('disconnect', () => process.exit(0))

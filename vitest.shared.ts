import { createReadStream, existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { playwright } from '@vitest/browser-playwright'
import type { Plugin, TestProjectInlineConfiguration } from 'vitest/config'

/** Debian's Chromium, or whatever KWAAI_CHROMIUM names. */
export const chromium: string = process.env['KWAAI_CHROMIUM'] ?? '/usr/bin/chromium'
export const hasChromium: boolean = existsSync(chromium)

const nodeConditions = ['kwaai:source', 'node', 'import', 'module', 'default']
const browserConditions = ['kwaai:source', 'browser', 'import', 'module', 'default']

/**
 * How the global setup finds the packages of the workspace: it runs in Vitest's own environment, which takes
 * no conditions from `resolve` or `ssr`. Without this it would find what was last built, or nothing.
 */
export const setupFromSources: Pick<TestProjectInlineConfiguration, 'environments'> = {
  environments: { __vitest__: { resolve: { conditions: nodeConditions } } }
}

const cores = availableParallelism()

/**
 * Test files that run at once: one core stays free where there are more than two, as Vitest has it by itself. Of two
 * it would leave one idle.
 */
export const workers: number = cores > 2 ? cores - 1 : cores

/**
 * Where Node.js keeps what it has compiled. Tests start some two hundred processes from the sources, and each
 * would strip the types of all of them again: a second each. What is kept is found by its content.
 */
const compileCache = join(import.meta.dirname, 'node_modules/.cache/kwaai-compiled')

/** A project that runs in Node.js, straight from the sources. */
export function nodeProject(
  name: string,
  include: string[],
  test: Record<string, unknown> = {}
): TestProjectInlineConfiguration {
  return {
    resolve: { conditions: nodeConditions },
    ssr: { resolve: { conditions: nodeConditions } },
    test: {
      name,
      include,
      exclude: ['**/node_modules/**', '**/dist/**', '**/*.browser.spec.ts'],
      environment: 'node',
      pool: 'forks',
      env: { NODE_COMPILE_CACHE: compileCache },
      ...test
    }
  }
}

/** Where a page finds the files of the embedding model, which lie outside of the workspace. */
const embedderRoute = '/kwaai-embedder/'

/** Hands pages the files of the folder `KWAAI_EMBEDDER_PATH` names, each by its name. */
const embedderFiles: Plugin = {
  name: 'kwaai-embedder-files',
  configureServer(server) {
    server.middlewares.use(embedderRoute, (request, response, next) => {
      const name = /^\/([\w.]+)$/.exec(request.url ?? '')?.[1]
      const folder = process.env['KWAAI_EMBEDDER_PATH']
      if (name === undefined || folder === undefined) return next()
      response.setHeader('content-type', 'application/octet-stream')
      createReadStream(join(folder, name))
        .on('error', () => response.writeHead(404).end())
        .pipe(response)
    })
  }
}

/** A project that runs the isomorphic specs in Chromium, after those in Node.js: beside them is no core for it. */
export function chromiumProject(include: string[]): TestProjectInlineConfiguration {
  return {
    resolve: { conditions: browserConditions },
    plugins: [embedderFiles],
    test: {
      name: 'chromium',
      sequence: { groupOrder: 1 },
      include,
      exclude: ['**/node_modules/**', '**/dist/**', '**/*.node.spec.ts', 'tools/**'],
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({
          launchOptions: {
            executablePath: chromium,
            args: [
              '--headless',
              '--no-sandbox',
              '--disable-gpu',
              '--disable-quic',
              '--no-first-run',
              '--disable-background-networking',
              '--disable-component-update',
              '--disable-sync'
            ]
          }
        }),
        instances: [{ browser: 'chromium' }]
      }
    }
  }
}

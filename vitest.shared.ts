import { existsSync } from 'node:fs'
import { playwright } from '@vitest/browser-playwright'
import type { TestProjectInlineConfiguration } from 'vitest/config'

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
      ...test
    }
  }
}

/** A project that runs the isomorphic specs in Chromium. */
export function chromiumProject(include: string[]): TestProjectInlineConfiguration {
  return {
    resolve: { conditions: browserConditions },
    test: {
      name: 'chromium',
      include,
      exclude: ['**/node_modules/**', '**/dist/**', '**/*.node.spec.ts', 'packages/node/**', 'tools/**'],
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

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const BINARY = process.env.DAYBOOK_TEST_BINARY ?? fileURLToPath(new URL('../../bin/daybook', import.meta.url))
const READY = /http:\/\/127\.0\.0\.1:\d+\//

// In milliseconds.
const START_WAIT = 60_000
const STOP_WAIT = 15_000

/** A server on a data folder of its own, or the one at DAYBOOK_TEST_URL, which cannot be restarted. */
export async function startServer() {
  if (process.env.DAYBOOK_TEST_URL) {
    return { url: new URL('/', process.env.DAYBOOK_TEST_URL).href, stop: async () => {} }
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'daybook-browser-'))
  let running = await spawnServer(folder, 0)
  return {
    url: running.url,
    async restart(between) {
      await running.stop()
      await between()
      running = await spawnServer(folder, new URL(this.url).port)
    },
    async stop() {
      await running.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function spawnServer(folder, port) {
  const server = spawn(BINARY, ['serve', '--listen', `127.0.0.1:${port}`, '--data-dir', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const gone = once(server, 'exit').catch(() => {})
  async function stop() {
    server.kill('SIGTERM')
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_WAIT)
    await gone
    clearTimeout(late)
  }
  try {
    return { url: await address(server), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The address in the line that the server prints when it is ready. */
function address(server) {
  return new Promise((resolve, reject) => {
    let output = ''
    const fail = (why) => reject(new Error(`${BINARY} ${why}. It printed:\n${output}`))
    const timer = setTimeout(() => fail(`was not ready after ${START_WAIT / 1000} s`), START_WAIT)
    function read(chunk) {
      output += chunk
      const ready = READY.exec(output)
      if (!ready) return
      clearTimeout(timer)
      resolve(ready[0])
    }
    server.stdout.setEncoding('utf8').on('data', read)
    server.stderr.setEncoding('utf8').on('data', read)
    server.once('error', (error) => fail(`did not start: ${error.message}`))
    server.once('exit', (code, signal) => fail(`ended with ${signal ?? code}`))
  })
}

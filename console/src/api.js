import { createClient } from 'graphql-ws'
import { resumable } from './resume.js'

const endpoint = new URL('graphql', document.baseURI)

// How a dead connection is found, in milliseconds.
const PING_INTERVAL = 10_000
const PONG_WAIT = 5_000

/** Sends a query or mutation and returns the GraphQL answer, errors included. */
export async function execute(request, headers = {}) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      ...headers,
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json;q=0.9',
    },
    body: JSON.stringify(request),
  }).catch(() => {
    throw new Error(`No answer from ${endpoint.href}. Is the server running?`)
  })
  const text = await response.text()
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`${endpoint.href} answered ${response.status}: ${text.slice(0, 200)}`)
  }
}

/**
 * Starts a subscription and returns how to end it. A lost connection is made again, with growing waits, and a
 * balanceChanged goes on after the last version seen. `onConnection` is told whether the connection stands.
 */
export function subscribe(request, { next, done, onConnection = () => {}, headers }) {
  const { payload, saw } = resumable(request)
  let pongDeadline
  let ended = false
  const url = new URL(endpoint)
  url.protocol = url.protocol.replace('http', 'ws')
  const client = createClient({
    url: url.href,
    connectionParams: headers,
    // Finds a connection that died without a word, as after a laptop's sleep.
    keepAlive: PING_INTERVAL,
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: (retries) => wait(Math.min(500 * 2 ** retries, 10_000) * (0.75 + Math.random() / 2)),
    on: {
      connected: () => onConnection(true),
      closed() {
        clearTimeout(pongDeadline)
        if (!ended) onConnection(false)
      },
      ping: (received) => {
        if (!received) pongDeadline = setTimeout(() => client.terminate(), PONG_WAIT)
      },
      pong: (received) => {
        if (received) clearTimeout(pongDeadline)
      },
    },
  })
  const unsubscribe = client.subscribe(payload, {
    next(result) {
      saw(result)
      next(result)
    },
    error(cause) {
      ended = true
      next({ errors: asErrors(cause) })
      done()
    },
    complete() {
      ended = true
      done()
    },
  })
  return () => {
    ended = true
    unsubscribe()
  }
}

/** Errors of a refused operation come as a list; a refused connection comes as the event of its closing. */
function asErrors(cause) {
  if (Array.isArray(cause)) return cause
  const reason = cause?.reason || cause?.message || 'The connection was lost.'
  return [{ message: cause?.code ? `${reason} (${cause.code})` : reason }]
}

function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

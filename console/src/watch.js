import { execute, subscribe } from './api.js'

/** How many changes the Live panel keeps. */
export const KEPT = 50

/** How far back it begins: enough to fill the panel, however long the account's history. */
const BACKLOG = 20

/** How long it waits before it asks again for an account that is not there, in milliseconds. */
const RETRY = 3_000

const ACCOUNT = `query LiveAccount($id: ID!) { account(id: $id) { balance currency version } }`

const CHANGES = `subscription LiveChanges($id: ID!, $after: Int) {
  balanceChanged(accountId: $id, afterVersion: $after) {
    version signedAmount newBalance currency reason timestamp
  }
}`

/**
 * Follows one account's balance until the returned handle is stopped. `onState` gets
 * `{ status, message?, balance?, currency?, changes }` with the newest change first; status is one of
 * connecting, missing, live, reconnecting, failed. `lookAgain` cuts a wait short.
 */
export function watchBalance(id, onState) {
  let state = { status: 'connecting', changes: [] }
  let stopped = false
  let unsubscribe = () => {}
  let timer
  let frame

  // A burst of changes is drawn once per frame, not once each.
  function update(part) {
    state = { ...state, ...part }
    frame ??= requestAnimationFrame(() => {
      frame = undefined
      if (!stopped) onState(state)
    })
  }

  function retry() {
    clearTimeout(timer)
    if (!stopped) timer = setTimeout(look, RETRY)
  }

  async function look() {
    timer = undefined
    try {
      const { data, errors } = await execute({ query: ACCOUNT, variables: { id } })
      if (stopped) return
      if (errors) throw new Error(errors[0].message)
      if (data.account) {
        follow(data.account)
      } else {
        update({ status: 'missing' })
        retry()
      }
    } catch (error) {
      update({ status: 'failed', message: error.message })
      retry()
    }
  }

  function follow({ balance, currency, version }) {
    update({ balance, currency, changes: [] })
    const variables = { id, after: Math.max(0, version - BACKLOG) }
    let fault
    unsubscribe = subscribe(
      { query: CHANGES, variables, operationName: 'LiveChanges' },
      {
        onConnection: (stands) => update({ status: stands ? 'live' : 'reconnecting' }),
        next({ data, errors }) {
          if (errors) {
            fault = errors[0].message
            return
          }
          const change = data.balanceChanged
          update({
            balance: change.newBalance,
            currency: change.currency,
            changes: [change, ...state.changes].slice(0, KEPT),
          })
        },
        done() {
          update({ status: 'failed', message: fault ?? 'The server ended the subscription.' })
          retry()
        },
      },
    )
  }

  look()
  return {
    lookAgain() {
      if (timer === undefined) return
      clearTimeout(timer)
      look()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
      unsubscribe()
    },
  }
}

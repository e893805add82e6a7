import { useEffect, useState } from 'react'
import { runs } from './runs.js'
import { recall, remember } from './storage.js'
import { watchBalance } from './watch.js'

const STORED = 'daybook:liveAccount'

const STATUS = {
  connecting: 'Connecting …',
  missing: 'No such account yet',
  live: 'Live',
  reconnecting: 'Connection lost, trying again …',
  failed: 'Trying again …',
}

/** How long the reader may pause within an account's name before it counts as entered, in milliseconds. */
const TYPING = 400

/** Follows one account while operations run beside it. */
export function Live() {
  const [account, setAccount] = useState(() => recall(STORED) ?? 'alice')
  const [entered, setEntered] = useState(account)
  const wanted = entered.trim()

  function watch(event) {
    event?.preventDefault()
    if (!wanted) return setEntered(account)
    remember(STORED, wanted)
    setAccount(wanted)
  }

  useEffect(() => {
    if (!wanted || wanted === account) return
    const timer = setTimeout(watch, TYPING)
    return () => clearTimeout(timer)
  }, [wanted, account])

  return (
    <section className="daybook-live" aria-label="Live balance">
      <h2>Live balance</h2>
      <form onSubmit={watch}>
        <label htmlFor="daybook-live-account">Account</label>
        <input
          id="daybook-live-account"
          value={entered}
          onChange={(event) => setEntered(event.target.value)}
          onBlur={watch}
          maxLength={64}
          spellCheck={false}
          autoComplete="off"
        />
      </form>
      {/* Never one account's money under the name of another. */}
      {wanted === account && <Watched key={account} account={account} />}
    </section>
  )
}

function Watched({ account }) {
  const [state, setState] = useState({ status: 'connecting', changes: [] })

  useEffect(() => {
    const watched = watchBalance(account, setState)
    // An account that was just opened is looked for at once.
    const look = ({ detail }) => detail.mutation && watched.lookAgain()
    runs.addEventListener('ran', look)
    return () => {
      runs.removeEventListener('ran', look)
      watched.stop()
    }
  }, [account])

  const { status, message, balance, currency, changes } = state
  return (
    <>
      <p className={`daybook-status daybook-status-${status}`} role="status">
        {STATUS[status]}
      </p>
      {message && status === 'failed' && <p className="daybook-message">{message}</p>}
      {balance !== undefined && (
        <p className="daybook-balance">
          <span className="daybook-owner">{account}</span>{' '}
          <span>
            {balance} <small>{currency}</small>
          </span>
        </p>
      )}
      {changes.length === 0 ? <Hint account={account} status={status} /> : <Changes changes={changes} />}
    </>
  )
}

function Hint({ account, status }) {
  if (status === 'missing') {
    return (
      <p className="daybook-hint">
        There is no account <code>{account}</code>. Run <b>OpenAccounts</b> to open <code>alice</code>, <code>bob</code> and{' '}
        <code>shop</code>.
      </p>
    )
  }
  if (status === 'live') {
    return <p className="daybook-hint">Run TopUp or Transfer: each change shows here the moment it is recorded.</p>
  }
  return null
}

function Changes({ changes }) {
  return (
    <ol className="daybook-changes" aria-label="Changes of the balance, newest first">
      {changes.map((change) => (
        <li key={change.version}>
          <span className="daybook-reason">{change.reason || 'No reason given'}</span>
          <Amount value={change.signedAmount} />
          <span className="daybook-when">
            version {change.version}, {new Date(change.timestamp).toLocaleTimeString()}
          </span>
          <span className="daybook-after">{change.newBalance}</span>
        </li>
      ))}
    </ol>
  )
}

function Amount({ value }) {
  const debit = value.startsWith('-')
  return (
    <span className={debit ? 'daybook-debit' : 'daybook-credit'}>{debit ? `−${value.slice(1)}` : `+${value}`}</span>
  )
}

import { Kind } from 'graphql'

const MINUTE = 60_000

const MOMENTS = { now: 0, aMinuteAgo: MINUTE, anHourAgo: 60 * MINUTE }

/** The ids that answers tell of and later operations need: what each is called, and which example makes it. */
const MADE_BY = { transactionId: 'Transfer', paymentId: 'Pay', holdId: 'AuthorizeHold' }

/** The names of the ids that the page remembers. */
export const IDS = Object.keys(MADE_BY)

/**
 * Fills in the variables that the examples declare and a person could only look up: moments, and the ids of what was
 * made here last. What is set by hand stays.
 */
export function fillVariables(operation, variables, { now, ids = {} }) {
  const filled = { ...variables }
  for (const { variable, type } of operation?.variableDefinitions ?? []) {
    const name = variable.name.value
    if (filled[name] !== undefined) continue
    if (name in MOMENTS) {
      filled[name] = new Date(now - MOMENTS[name]).toISOString()
    } else if (ids[name]) {
      filled[name] = ids[name]
    } else if (name in MADE_BY && type.kind === Kind.NON_NULL_TYPE) {
      throw new Error(`Nothing to fill in for $${name} yet: run ${MADE_BY[name]} first, or set it under Variables.`)
    }
  }
  return filled
}

/** The ids that the answer to an operation tells of: of the last transaction, payment and hold that it made. */
export function idsIn(operation, result) {
  const ids = {}
  for (const field of operation?.selectionSet.selections ?? []) {
    const payload = result?.data?.[(field.alias ?? field.name)?.value]
    if (!payload) continue
    for (const { transaction } of [payload, ...(payload.results ?? [])]) {
      if (transaction?.id) ids.transactionId = transaction.id
    }
    // A capture is a payment too; but what was captured is not what the reader paid.
    if (field.name.value === 'pay' && payload.transaction?.id) ids.paymentId = payload.transaction.id
    if (field.name.value === 'authorizeHold' && payload.hold?.id) ids.holdId = payload.hold.id
  }
  return ids
}

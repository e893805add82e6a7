import { Kind } from 'graphql'

const MINUTE = 60_000

/**
 * Fills in the variables that the examples declare and a person could only look up: a moment in the past, and the
 * last transaction made here. What is set by hand stays.
 */
export function fillVariables(operation, variables, { now, lastTransaction }) {
  const known = {
    aMinuteAgo: () => new Date(now - MINUTE).toISOString(),
    transactionId: () => lastTransaction,
  }
  const filled = { ...variables }
  for (const { variable, type } of operation?.variableDefinitions ?? []) {
    const name = variable.name.value
    const value = known[name]?.()
    if (filled[name] !== undefined || !known[name]) continue
    if (value !== undefined && value !== null) {
      filled[name] = value
    } else if (type.kind === Kind.NON_NULL_TYPE) {
      throw new Error(`Nothing to fill in for $${name} yet: make a transaction first, for example with Transfer.`)
    }
  }
  return filled
}

/** The id of the transaction that a mutation's answer tells of, if any. */
export function transactionIn(result) {
  for (const payload of Object.values(result?.data ?? {})) {
    if (payload?.transaction?.id) return payload.transaction.id
  }
  return undefined
}

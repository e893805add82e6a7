import { Kind, OperationTypeNode, parse } from 'graphql'
import { execute, subscribe } from './api.js'
import { recall, remember } from './storage.js'
import { fillVariables, transactionIn } from './variables.js'

const LAST_TRANSACTION = 'daybook:lastTransaction'

/** Told of each mutation that ran, so that the Live panel looks at once for an account that was just opened. */
export const mutations = new EventTarget()

/** What GraphiQL runs operations with: HTTP for queries and mutations, a WebSocket for subscriptions. */
export async function fetcher(parameters, { headers } = {}) {
  try {
    return await run(parameters, headers)
  } catch (error) {
    // Thrown, it would be shown with the stack of this page, which tells a reader nothing.
    return { errors: [{ message: error.message }] }
  }
}

async function run({ query, variables, operationName }, headers) {
  const operation = findOperation(query, operationName)
  const filled = fillVariables(operation, variables, {
    now: Date.now(),
    lastTransaction: recall(LAST_TRANSACTION),
  })
  const request = { query, variables: filled, operationName: operation?.name?.value }
  if (operation?.operation === OperationTypeNode.SUBSCRIPTION) return observable(request, headers)

  const result = await execute(request, headers)
  if (operation?.operation === OperationTypeNode.MUTATION) {
    const id = transactionIn(result)
    if (id) remember(LAST_TRANSACTION, id)
    mutations.dispatchEvent(new Event('ran'))
  }
  return result
}

/**
 * The operation to run. GraphiQL names it a moment late after a change of tabs, so a name that the document does not
 * have is passed over for the first operation. Undefined when the document cannot be read: the server says why.
 */
function findOperation(query, operationName) {
  let document
  try {
    document = parse(query)
  } catch {
    return undefined
  }
  const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION)
  return operations.find((d) => d.name?.value === operationName) ?? operations[0]
}

function observable(request, headers) {
  return {
    subscribe({ next, complete }) {
      const unsubscribe = subscribe(request, { next, done: complete, headers })
      return { unsubscribe }
    },
  }
}

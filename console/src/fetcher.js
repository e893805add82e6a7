import { Kind, OperationTypeNode, parse } from 'graphql'
import { execute, subscribe } from './api.js'
import { tellRun, wentWell } from './runs.js'
import { recall, remember } from './storage.js'
import { fillVariables, IDS, idsIn } from './variables.js'

const stored = (id) => `daybook:${id}`

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
  const ids = Object.fromEntries(IDS.map((id) => [id, recall(stored(id))]))
  const filled = fillVariables(operation, variables, { now: Date.now(), ids })
  const request = { query, variables: filled, operationName: operation?.name?.value }
  const answered = (result) => {
    const mutation = operation?.operation === OperationTypeNode.MUTATION
    if (mutation) {
      for (const [id, value] of Object.entries(idsIn(operation, result))) remember(stored(id), value)
    }
    tellRun({ name: request.operationName, mutation, ok: wentWell(result) })
    return result
  }
  if (operation?.operation === OperationTypeNode.SUBSCRIPTION) return observable(request, headers, answered)
  return answered(await execute(request, headers))
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

function observable(request, headers, answered) {
  return {
    subscribe({ next, complete }) {
      const unsubscribe = subscribe(request, { next: (result) => next(answered(result)), done: complete, headers })
      return { unsubscribe }
    },
  }
}

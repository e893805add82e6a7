/** Tells `ran`, with `detail: { name, mutation, ok }`, of each operation that was answered. */
export const runs = new EventTarget()

// Which operations went well since the page was opened.
let done = new Set()

export function tellRun(detail) {
  if (detail.ok && !done.has(detail.name)) done = new Set([...done, detail.name])
  runs.dispatchEvent(new CustomEvent('ran', { detail }))
}

/** For useSyncExternalStore: the names of the operations that went well. */
export const doneStore = {
  subscribe(onChange) {
    runs.addEventListener('ran', onChange)
    return () => runs.removeEventListener('ran', onChange)
  },
  get: () => done,
}

/** Whether an answer has neither errors nor userErrors. */
export function wentWell({ data, errors }) {
  if (errors || !data) return false
  const payloads = Object.values(data).flatMap((payload) => [payload, ...(payload?.results ?? [])])
  return payloads.every((payload) => !payload?.userErrors?.length)
}

/**
 * Which frames hide something, so that nobody records their bytes.
 *
 * @internal
 */
import * as Redactable from "effect/Redactable"
import * as Redacted from "effect/Redacted"

// As a `Redacted` shows itself: `<redacted>`, or with a label `<redacted:label>`.
const mark = /<redacted[:>]/

export const showsRedacted = (text: string): boolean => mark.test(text)

/** Whether there is a `Redacted` in it, however deep: an excerpt may end before it comes to that. */
export const holdsRedacted = (frame: unknown): boolean => {
  const seen = new Set<object>()
  const waiting = [frame]
  try {
    while (waiting.length > 0) {
      const value = waiting.pop()
      if (Redacted.isRedacted(value)) return true
      if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) continue
      seen.add(value)
      for (const part of partsOf(value)) waiting.push(part)
    }
    return false
  } catch {
    // What cannot be looked at may hide anything.
    return true
  }
}

const partsOf = (value: object): Iterable<unknown> => {
  if (Redactable.isRedactable(value)) return [Redactable.getRedacted(value)]
  if (value instanceof Map) return Array.from(value).flat()
  if (Array.isArray(value) || value instanceof Set) return value
  return Reflect.ownKeys(value).map((key) => Reflect.get(value, key))
}

/**
 * Law 9: no secret shows in an error, a log, a span, a metric or a transcript.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Excerpt from "../../../Excerpt.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Plan, Stop, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import * as Watch from "../watch.ts"
import type { Check } from "./attempt.ts"
import {
  candidateComes,
  candidatesOf,
  impostorComes,
  impostorsOf,
  mostEnds,
  nothing,
  nth,
  placeOfStop,
  replaced,
  stopComes,
  stopsOf
} from "./cases.ts"
import { bytesOf, decoyOf, lookedFor, secretsOf } from "./options.ts"

interface Case {
  readonly what: string
  readonly comes: Effect.Effect<Trial.Witnessed>
  /** By what it is shared out among rungs. */
  readonly place: number
  /** Whether a secret comes too early; of an impostor that is told by what it has said. */
  readonly isEarly?: boolean | ((talk: Talk) => boolean)
}

/** What ends a text is no secret, and not shown with it. */
const withoutEnding = (message: Uint8Array): Uint8Array => {
  let { length } = message
  while (length > 0 && [0, 0x0a, 0x0d].includes(message[length - 1])) length--
  return message.subarray(0, length)
}

/** Whether a secret is said, in any of the ways in which it may be written down. */
const isShown = (secret: Uint8Array, said: ReadonlyArray<Uint8Array>): boolean =>
  Watch.hiding([secret])(Watch.ofBytes(said)) !== undefined

export const secrets: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { borders, messages, needed } = reference
    const known = secretsOf(options)
    const hidden = Watch.hiding(lookedFor(options))
    // What a client hides from those who watch it, such as a proof, is a secret of its server, too, where it comes as it is.
    // A server's secret step may begin with a question that is none.
    const proofsOf = (talk: Talk): ReadonlyArray<Uint8Array> =>
      trial.side.role === "server" && talk.hidden.length === talk.messages.length
        ? talk.messages.filter((message, index) => talk.hidden[index] && talk.said[index] === message)
          .map(withoutEnding).filter(({ length }) => length >= 6)
        : []
    // And the parts of it that are said nowhere else.
    const partsOf = (talk: Talk, proofs: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
      const open = [...talk.written, ...talk.messages.filter((_, index) => !talk.hidden[index])]
      return proofs.flatMap(Watch.partsOf).filter((part) => open.every((said) => Watch.indexOf(said, part) === -1))
    }
    // What it should have been, too, where something else was said.
    const digitsOf = (talk: Talk, seen: ReadonlyArray<Watch.Seen>): ReadonlyArray<Uint8Array> => {
      if (trial.side.role !== "server" || talk.hidden.length !== talk.messages.length) return []
      const [hidden, open] = [true, false].map((isHidden) =>
        talk.messages.filter((_, index) => talk.hidden[index] === isHidden)
      )
      return Watch.digitsOf(seen, hidden, [...talk.written, ...open])
    }
    // Who proves a secret without saying it says it to nobody, whatever is asked for; who is told one says no other.
    const unsaid = known.filter((secret) => !isShown(secret, reference.talk.written))
    const hidesUnsaid = Watch.hiding(unsaid)
    const isProof = (said: Uint8Array) =>
      messages.some((message, index) => reference.talk.hidden[index] && Trial.firstDifference(message, said) === -1)
    const holdsSecret = (said: Uint8Array) =>
      isProof(said) || known.some((secret) => Watch.indexOf(said, secret) !== -1)
    const isToldWrong = (said: Uint8Array) =>
      options.wrong?.[trial.side.role]?.some((text) => Trial.firstDifference(bytesOf(text), said) === -1) === true
    const cases: Array<Case> = []
    const add = (what: string, plan: Plan) => {
      const number = cases.length
      cases.push({ what, place: number, comes: trial.witnessed(`secret ${number}`, plan) })
    }
    add("nobody disturbs the conversation", {})
    messages.forEach((message, index) => {
      for (const secret of known) {
        const at = Watch.indexOf(message, secret)
        if (at === -1) continue
        const change = (what: string, said: Uint8Array) => add(`${what} in ${nth(index)}`, replaced(index, said))
        const [head, tail] = [message.subarray(0, at), message.subarray(at + secret.length)]
        change("another secret comes", concat([head, decoyOf(secret), tail]))
        change("the secret comes with a byte that is no text", concat([head, secret, Uint8Array.of(0xff), tail]))
        change("the secret comes twice", concat([head, secret, secret, tail]))
        change("the secret goes on without end", concat([head, ...Array.from({ length: 64 }, () => secret)]))
        change(
          "the secret comes a thousand times",
          concat([head, ...Array.from({ length: 20_000 }, () => secret), tail])
        )
        change("the secret stands alone", secret)
      }
      if (!holdsSecret(message)) add(`${nth(index)} comes twice`, replaced(index, concat([message, message])))
    })
    for (const candidate of candidatesOf(trial, reference, options)) {
      const { index, number, said, what } = candidate
      // What is almost a proof is nothing to be shown; what the user has told is, and there may be many of it.
      const shown = isToldWrong(said) && !holdsSecret(said) ? `, ${Trial.show(said)},` : ""
      cases.push({
        what: `${what}${shown} comes in the place of ${nth(index)}`,
        comes: candidateComes(trial, candidate),
        place: number,
        isEarly: holdsSecret(said) && !holdsSecret(messages[index])
      })
    }
    for (const impostor of impostorsOf(trial, options)) {
      cases.push({
        what: `${impostor.what} comes`,
        comes: impostorComes(trial, impostor),
        place: impostor.number,
        isEarly: ({ said }) => said.some((said, index) => holdsSecret(said) && !holdsSecret(messages[index] ?? nothing))
      })
    }
    const stops = (what: string, how: Stop["how"], places: ReadonlyArray<number>) => {
      for (const after of places) {
        cases.push({
          what: `${what} after byte ${after}`,
          comes: stopComes(trial, { after, how }),
          place: placeOfStop(after)
        })
      }
    }
    stops("the connection ends", "end", stopsOf(reference, Math.max(0, needed - 1), mostEnds))
    // On real sockets that would have to be waited for.
    if (trial.isVirtual) stops("the peer falls silent", "stall", borders)
    stops("it is interrupted", "interrupt", borders)
    yield* attempt.each(cases, ({ comes, isEarly, what }) =>
      Effect.flatMap(comes, ({ seen, talk }) => {
        // Only a pipe knows that a secret is to come when one comes early. What was said is in the transcript all the same.
        const comesEarly = typeof isEarly === "function" ? isEarly(talk) : isEarly === true
        if (comesEarly && !talk.isGuarded) return Effect.void
        const proofs = proofsOf(talk)
        const own = comesEarly ? Watch.ofFailure(talk) : Watch.ofTalk(talk)
        const others = seen()
        const parts = [...proofs, ...partsOf(talk, proofs), ...digitsOf(talk, others)]
        const hidesParts = parts.length === 0 ? undefined : Watch.hiding(parts)
        const looks = (seen: ReadonlyArray<Watch.Seen>) => hidden(seen) ?? hidesParts?.(seen)
        const ownLeak = looks(own)
        const told = unsaid.length === 0 || hidesUnsaid(Watch.ofBytes(talk.written)) === undefined
          ? undefined
          : Watch.hiding(unsaid.filter((secret) => !isShown(secret, talk.said)))(Watch.ofBytes(talk.written))
        const leak = ownLeak ?? told ?? looks(others)
        // What is logged and counted is not told apart by who does it.
        const whose = leak !== ownLeak && leak !== told ? ", of this side or of its peer" : ""
        return leak === undefined ? Effect.void : Effect.fail({
          scenario: what,
          expected: comesEarly
            ? "no secret shows, also one that comes too early: what is refused is shown with Transport.show"
            : "no secret shows",
          // The proof of a leak must not be another one.
          actual: `${leak.length} characters of a secret of ${leak.of} show in ${leak.where}${whose}, at step ${
            Excerpt.ofText(talk.step)
          }: ${leak.context}`
        })
      }), { placeOf: ({ place }) => place })
  })

/**
 * Law 9: no secret shows in an error, a log, a span, a metric or a transcript.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Excerpt from "../../../Excerpt.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Plan, Talk } from "../conversation.ts"
import * as Trial from "../trial.ts"
import * as Watch from "../watch.ts"
import type { Check } from "./attempt.ts"
import { candidatesOf, impostorsOf, nth, replaced, stopsOf } from "./cases.ts"
import { secretsOf } from "./options.ts"

/** What ends a text is no secret, and not shown with it. */
const withoutEnding = (message: Uint8Array): Uint8Array => {
  let { length } = message
  while (length > 0 && [0, 0x0a, 0x0d].includes(message[length - 1])) length--
  return message.subarray(0, length)
}

export const secrets: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { borders, messages, needed } = reference
    const known = secretsOf(options)
    const decoy = (secret: Uint8Array) => Uint8Array.from(secret, (_, i) => "qjzkxwv7".charCodeAt(i % 8))
    const looksFor = [...known, ...known.map(decoy)]
    const hidden = Watch.hiding(looksFor)
    // What a client hides from those who watch it, such as a proof, is a secret of its server, too, where it comes as it is.
    // A server's secret step may begin with a question that is none.
    const proofsOf = (talk: Talk): ReadonlyArray<Uint8Array> =>
      trial.side.role === "server" && talk.hidden.length === talk.messages.length
        ? talk.messages.filter((message, index) => talk.hidden[index] && talk.said[index] === message)
          .map(withoutEnding).filter(({ length }) => length >= 6)
        : []
    const isProof = (said: Uint8Array) =>
      messages.some((message, index) => reference.talk.hidden[index] && Trial.firstDifference(message, said) === -1)
    const holdsSecret = (said: Uint8Array) =>
      isProof(said) || known.some((secret) => Watch.indexOf(said, secret) !== -1)
    const plans: Array<readonly [what: string, plan: Plan, isEarly?: boolean]> = [[
      "nobody disturbs the conversation",
      {}
    ]]
    messages.forEach((message, index) => {
      for (const secret of known) {
        const at = Watch.indexOf(message, secret)
        if (at === -1) continue
        const change = (what: string, said: Uint8Array) =>
          plans.push([`${what} in ${nth(index)}`, replaced(index, said)])
        const [head, tail] = [message.subarray(0, at), message.subarray(at + secret.length)]
        change("another secret comes", concat([head, decoy(secret), tail]))
        change("the secret comes with a byte that is no text", concat([head, secret, Uint8Array.of(0xff), tail]))
        change("the secret comes twice", concat([head, secret, secret, tail]))
        change("the secret goes on without end", concat([head, ...Array.from({ length: 64 }, () => secret)]))
        change(
          "the secret comes a thousand times",
          concat([head, ...Array.from({ length: 20_000 }, () => secret), tail])
        )
        change("the secret stands alone", secret)
      }
      if (!holdsSecret(message)) plans.push([`${nth(index)} comes twice`, replaced(index, concat([message, message]))])
    })
    for (const { index, said, what } of candidatesOf(trial, reference, options)) {
      const isEarly = holdsSecret(said) && !holdsSecret(messages[index])
      plans.push([`${what} comes in the place of ${nth(index)}`, replaced(index, said), isEarly])
    }
    for (const { peer, what } of impostorsOf(trial, options)) plans.push([`${what} comes`, { peer }])
    for (const after of stopsOf(reference, Math.max(0, needed - 1), 100)) {
      plans.push([`the connection ends after byte ${after} of ${needed}`, { stop: { after, how: "end" } }])
    }
    for (const after of borders) {
      // On real sockets that would have to be waited for.
      if (trial.isVirtual) plans.push([`the peer falls silent after byte ${after}`, { stop: { after, how: "stall" } }])
      plans.push([`it is interrupted after byte ${after}`, { stop: { after, how: "interrupt" } }])
    }
    yield* attempt.each(plans, ([what, plan, isEarly]) =>
      Effect.flatMap(Watch.watched(trial.talk(plan), (seen) => hidden([seen]) !== undefined), ([talk, seen]) => {
        // Only a pipe knows that a secret is to come when one comes early. What was said is in the transcript all the same.
        if (isEarly === true && !talk.isGuarded) return Effect.void
        const proofs = proofsOf(talk)
        const looks = proofs.length === 0 ? hidden : Watch.hiding([...looksFor, ...proofs])
        const leak = looks([...(isEarly === true ? Watch.ofFailure(talk) : Watch.ofTalk(talk)), ...seen])
        return leak === undefined ? Effect.void : Effect.fail({
          scenario: what,
          expected: isEarly === true
            ? "no secret shows, also one that comes too early: what is refused is shown with Transport.show"
            : "no secret shows",
          // The proof of a leak must not be another one.
          actual: `${leak.length} characters of a secret of ${leak.of} show in ${leak.where}, at step ${
            Excerpt.ofText(talk.step)
          }: ${leak.context}`
        })
      }))
  })

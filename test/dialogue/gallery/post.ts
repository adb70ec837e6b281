/** A box at the post: who has its login, several parts in Base64, may fetch what is in it. What is said otherwise depends. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

type Otherwise = (why: Dialogue.Why, state: string) => "No" | "Gone"

const said: Otherwise = (why, state) => state === "login" || why === "capacity" ? "No" : "Gone"

export const specified = (otherwise: Otherwise = said) =>
  Dialogue.make<Post>()({
    name: "post",
    messages: {
      Login: { login: Schema.Redacted(Schema.StringFromBase64), agent: Dialogue.free(Schema.String) },
      Yes: {},
      No: {},
      Fetch: {},
      Letter: {},
      Gone: {}
    },
    wire: Wire.text(Codec.lines(), {
      Login: "LOGIN {login} {agent}",
      Yes: "YES",
      No: "NO",
      Fetch: "FETCH",
      Letter: "LETTER",
      Gone: "GONE"
    }),
    live: Codec.lines(),
    start: "login",
    states: {
      login: Dialogue.client({ Login: "verdict" }, { within: "5 seconds" }),
      verdict: Dialogue.server({ Yes: "box", No: Dialogue.refused({ retryable: false }) }),
      box: Dialogue.client({ Fetch: "letter" }),
      letter: Dialogue.server({ Letter: Dialogue.ready, Gone: Dialogue.refused() })
    },
    otherwise: { server: otherwise }
  })

export class Post extends specified() {}

const login = "\0Ann\0Hunter22"

export const server = (
  {
    detail = () => "another one",
    fault = "peer",
    heard = () => Effect.void,
    isEarly = false,
    isLate = false,
    isRight = (given) => given === login
  }: {
    readonly isRight?: (login: string) => boolean
    readonly heard?: (login: string) => Effect.Effect<unknown>
    readonly isEarly?: boolean
    /** Whether it says yes to all, and no only where they fetch something. */
    readonly isLate?: boolean
    readonly detail?: (login: string) => string
    readonly fault?: "peer" | "local"
  } = {},
  dialogue: typeof Post = Post
) =>
  dialogue.server(Effect.fnUntraced(function*(first) {
    const { message, then: verdict } = yield* first.receive
    const given = Redacted.value(message.login)
    const reason = new HandshakeError.AuthenticationFailed({ method: "login", detail: detail(given), fault })
    yield* heard(given)
    if (isEarly || isLate || isRight(given)) {
      const box = yield* verdict.say("Yes")
      if (isEarly && !isRight(given)) return yield* reason
      const letter = (yield* box.receive).then
      return yield* isRight(given) ? letter.say("Letter") : letter.refuse("Gone", {}, reason)
    }
    return yield* verdict.refuse("No", {}, reason)
  }))

export const client = (heard: Effect.Effect<unknown> = Effect.void, agent = "me") =>
  Post.client(Effect.fnUntraced(function*(first) {
    const verdict = yield* first.say("Login", { login: Redacted.make(login), agent })
    const { then: box } = yield* verdict.receive
    yield* heard
    return (yield* (yield* box.say("Fetch")).receive).then
  }))

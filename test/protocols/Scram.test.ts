import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as CryptoError from "effect/crypto/CryptoError"
import type * as Digest from "effect/crypto/Digest"
import * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as TestClock from "effect/testing/TestClock"
import { inspect } from "node:util"
import type { AuthenticationFailed } from "../../src/HandshakeError.ts"
import * as Scram from "../../src/protocols/Scram.ts"

type Crypto = Digest.Digest | Kdf.Kdf | Mac.Mac | SecureRandom.SecureRandom

const test = <A, E>(name: string, effect: Effect.Effect<A, E, Crypto>) =>
  it.effect(name, () => Effect.provide(effect, NodeCrypto.layer))

const utf8 = (text: string) => new TextEncoder().encode(text)
const secret = (text: string) => Redacted.make(text)
const bytes = (from: number, length: number) => Uint8Array.from({ length }, (_, i) => (from + i) % 256)
const base64 = (text: string) => Result.getOrThrow(Base64.decode(text))

/** What is drawn at random in it are these bytes. */
const drawing = (drawn: Uint8Array) => Effect.provideService(SecureRandom.SecureRandom, SecureRandom.make(() => drawn))

const pencil = secret("pencil")

// ---------------------------------------------------------------------------------------------------------------------
// Whole exchanges, computed elsewhere: the first is RFC 7677 3, the others come from a few lines in another language.
// ---------------------------------------------------------------------------------------------------------------------

const rfc7677 = {
  clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
  serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  clientFinal:
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
}

const clientNonce = "AAECAwQFBgcICQoLDA0ODxAR"
const nonce = `${clientNonce}ZGVmZ2hpamtsbW5vcHFyc3R1`

const sha256Bound = {
  clientFirst: `p=tls-server-end-point,,n=user,r=${clientNonce}`,
  serverFirst: `r=${nonce},s=AAECAwQFBgcICQoLDA0ODw==,i=4096`,
  clientFinal: "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsyMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5uc=," +
    `r=${nonce},p=9oBuj8pCDc02R+J4oZT9xh0sF9orfWOhKQDVYiJf5dc=`,
  serverFinal: "v=Fi6SFwvhqEDOAt0mgO7nofy0f6Xjfw7DtgA7HMC4U6g="
}

const sha384Bound = {
  clientFirst: sha256Bound.clientFirst,
  serverFirst: sha256Bound.serverFirst,
  clientFinal: "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsyMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3," +
    `r=${nonce},p=K8+4JUAjJx4Pn45+FVJ7lM9PkdA44oxSPgH47VFk31g=`,
  serverFinal: "v=BIG189fWVLDI//syswqvVJhAdzt/yU9htGVhoc3F8t4="
}

// SASLprep makes `IIX` of this password.
const notOffered = {
  password: "I\u00ad\u2168",
  clientFirst: `y,,n=a=2Cb=3Dc,r=${clientNonce}`,
  serverFirst: `r=${nonce},s=AAECAwQFBgcICQoLDA0ODw==,i=10000`,
  clientFinal: `c=eSws,r=${nonce},x=1,p=cJPUxmyGoDjcfzI5IEvEsJCMZh9rdZQqvXeunBI9IMU=`,
  serverFinal: "v=hLEyzbnLwf3uJvniTgEv7HvP1sHsYkOcNlPDKPmz0hw="
}

const pencilVerifier: Scram.Verifier = {
  iterations: 4096,
  salt: bytes(0, 16),
  storedKey: Redacted.make(base64("zHCdol2044/ZyWzPLi7oxApCkamKw9Z+E4U/QApd/5Y=")),
  serverKey: Redacted.make(base64("dd5peBOitVnLNFu7VmwP+HiDaaw4OUCv396eVCWhYiE="))
}

const atClient = (options: Partial<Scram.ClientOptions> = {}) =>
  Scram.client({ username: "user", password: pencil, ...options }).pipe(drawing(bytes(0, 18)))

const endPoint = (length: number): Scram.Binding => ({ _tag: "EndPoint", data: bytes(200, length) })

const plainServer: Scram.ServerOptions = { mechanism: "SCRAM-SHA-256", endPoint: undefined }
const boundServer: Scram.ServerOptions = { mechanism: "SCRAM-SHA-256-PLUS", endPoint: bytes(200, 32) }

/** A server that has sent its challenge. */
const atServer = (clientFirst: string, options = plainServer, verifier = pencilVerifier) =>
  Scram.server(options).receive(clientFirst).pipe(
    Effect.flatMap((first) => first.challenge(verifier)),
    drawing(bytes(100, 18))
  )

describe("vectors", () => {
  test(
    "the client of RFC 7677 3",
    Effect.gen(function*() {
      const first = yield* Scram.client({ username: "user", password: pencil }).pipe(
        drawing(base64("rOprNGfwEbeRWgbNEkqO"))
      )
      assert.strictEqual(first.message, rfc7677.clientFirst)
      const final = yield* first.receive(rfc7677.serverFirst)
      assert.strictEqual(Redacted.value(final.message), rfc7677.clientFinal)
      assert.strictEqual((yield* final.receive(rfc7677.serverFinal)).mechanism, "SCRAM-SHA-256")
    })
  )

  test(
    "the verifier of RFC 7677 3",
    Effect.gen(function*() {
      const verifier = yield* Scram.verifier(pencil, { salt: base64("W22ZaJ0SNY7soEsUEjb6gQ==") })
      assert.strictEqual(verifier.iterations, 4096)
      assert.deepStrictEqual(
        Redacted.value(verifier.storedKey),
        base64("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=")
      )
      assert.deepStrictEqual(
        Redacted.value(verifier.serverKey),
        base64("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
      )
    })
  )

  for (const [hash, length, vector] of [["SHA-256", 32, sha256Bound], ["SHA-384", 48, sha384Bound]] as const) {
    test(
      `a client that is bound by ${hash}`,
      Effect.gen(function*() {
        const first = yield* atClient({ binding: endPoint(length) })
        assert.strictEqual(first.mechanism, "SCRAM-SHA-256-PLUS")
        assert.strictEqual(first.message, vector.clientFirst)
        const final = yield* first.receive(utf8(vector.serverFirst))
        assert.strictEqual(Redacted.value(final.message), vector.clientFinal)
        yield* final.receive(utf8(vector.serverFinal))
      })
    )

    test(
      `a server that is bound by ${hash}`,
      Effect.gen(function*() {
        const challenge = yield* atServer(vector.clientFirst, { ...boundServer, endPoint: bytes(200, length) })
        assert.strictEqual(challenge.message, vector.serverFirst)
        const final = yield* challenge.receive(utf8(vector.clientFinal))
        assert.strictEqual(Redacted.value(final.message), vector.serverFinal)
        assert.strictEqual(final.mechanism, "SCRAM-SHA-256-PLUS")
        assert.strictEqual(final.username, "user")
      })
    )
  }

  test(
    "a client that was not offered to bind, with an escaped name and a password to prepare",
    Effect.gen(function*() {
      const first = yield* atClient({
        username: "a,b=c",
        password: secret(notOffered.password),
        binding: { _tag: "NotOffered" }
      })
      assert.strictEqual(first.message, notOffered.clientFirst)
      const final = yield* first.receive(`${notOffered.serverFirst}`)
      assert.isTrue(Redacted.value(final.message).startsWith(`c=eSws,r=${nonce},p=`))
    })
  )

  test(
    "a server passes over an extension before the proof, and computes with it",
    Effect.gen(function*() {
      const verifier = yield* Scram.verifier(secret(notOffered.password), { salt: bytes(0, 16), iterations: 10_000 })
      const challenge = yield* atServer(notOffered.clientFirst, plainServer, verifier)
      assert.strictEqual(challenge.message, notOffered.serverFirst)
      const final = yield* challenge.receive(notOffered.clientFinal)
      assert.strictEqual(Redacted.value(final.message), notOffered.serverFinal)
      assert.strictEqual(final.username, "a,b=c")
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Agreement
// ---------------------------------------------------------------------------------------------------------------------

/** Both sides against each other; fails with what the server or the client says. */
const converse = Effect.fnUntraced(function*(
  verifier: Scram.Verifier,
  client: Scram.ClientOptions,
  server: Omit<Scram.ServerOptions, "mechanism">
) {
  const clientFirst = yield* Scram.client(client)
  const serverFirst = yield* Scram.server({ ...server, mechanism: clientFirst.mechanism }).receive(clientFirst.message)
  const challenge = yield* serverFirst.challenge(verifier)
  const clientFinal = yield* clientFirst.receive(challenge.message)
  const serverFinal = yield* challenge.receive(Redacted.value(clientFinal.message))
  const authenticated = yield* clientFinal.receive(Redacted.value(serverFinal.message))
  return { username: serverFinal.username, here: authenticated.mechanism, there: serverFinal.mechanism }
})

const chars = ["a", "B", "1", " ", "=", ",", "é", "e\u0301", "ﬀ", "馬", "𐐀", "\u00ad", "\u00a0", "=2C", "=3D"]
const text = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals(chars)), { minLength: 1, maxLength: 12 }),
  (parts) => `x${parts.join("")}`
)
const cheap = { minIterations: 1 }
const runs = (runs: number) => ({ arbitrary: { runs } })

describe("agreement", () => {
  it.effect.prop(
    "law 12: both sides agree for every name and every password, bound or not",
    [text, text, Arbitrary.schema(Schema.Literals([0, 32, 48]))],
    ([username, password, length]) =>
      Effect.gen(function*() {
        const verifier = yield* Scram.verifier(secret(password), { iterations: 2 })
        const binding: Scram.Binding = length === 0 ? { _tag: "Unsupported" } : endPoint(length)
        const outcome = yield* converse(verifier, { username, password: secret(password), binding, ...cheap }, {
          endPoint: length === 0 ? undefined : bytes(200, length)
        })
        const mechanism = length === 0 ? "SCRAM-SHA-256" : "SCRAM-SHA-256-PLUS"
        // What SASLprep makes of these is what Unicode makes of them.
        const prepared = username.replaceAll("\u00ad", "").replaceAll("\u00a0", " ").normalize("NFKC")
        assert.deepStrictEqual(outcome, { username: prepared, here: mechanism, there: mechanism })
      }).pipe(Effect.provide(NodeCrypto.layer)),
    runs(100)
  )

  it.effect.prop(
    "a wrong password never agrees, and neither side says what was wrong",
    [text, text],
    ([password, other]) =>
      Effect.gen(function*() {
        const verifier = yield* Scram.verifier(secret(password), { iterations: 2 })
        const wrong = secret(`${other}!`)
        const refusal = yield* Effect.flip(
          converse(verifier, { username: "user", password: wrong, ...cheap }, { endPoint: undefined })
        )
        assert.instanceOf(refusal, Scram.Refusal)
        assert.strictEqual(refusal.error, "invalid-proof")
        assert.strictEqual(refusal.reply, "e=invalid-proof")
        assert.strictEqual(
          refusal.message,
          "authentication (SCRAM-SHA-256) failed: the user name or the password is wrong"
        )
        assert.strictEqual(refusal.reason.fault, "peer")
      }).pipe(Effect.provide(NodeCrypto.layer)),
    runs(50)
  )

  test(
    "the name may be anything where it is ignored",
    Effect.gen(function*() {
      for (const name of ["", "*", "a=b", "\u0007", "=2C"]) {
        const first = yield* Scram.server({ ...plainServer, username: "ignored" }).receive(`n,,n=${name},r=abc`)
        assert.strictEqual(first.username, "")
      }
    })
  )

  test(
    "what PostgreSQL computes with is agreed on where both sides prepare as it does",
    Effect.gen(function*() {
      // A control, and a character that Unicode 3.2 did not know: neither has a prepared form.
      for (const password of ["a\u0007", "\u{1f130}é"]) {
        const options = { preparation: "postgres" } as const
        const verifier = yield* Scram.verifier(secret(password), { ...options, iterations: 2 })
        yield* converse(verifier, { username: "user", password: secret(password), ...options, ...cheap }, {
          endPoint: undefined
        })
        const failure = yield* Effect.flip(Scram.verifier(secret(password)))
        assert.strictEqual(failure.fault, "local")
      }
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Hostile servers
// ---------------------------------------------------------------------------------------------------------------------

/** The failure of a client that hears this as the server's first message. */
const refusesFirst = (serverFirst: string | Uint8Array, options?: Partial<Scram.ClientOptions>) =>
  Effect.flatMap(atClient(options), (first) => Effect.flip(first.receive(serverFirst)))

// A derivation that is begun all the same is a defect.
const noDerivation = Layer.succeed(
  Kdf.Kdf,
  Kdf.Kdf.of({ derive: () => Effect.die(new Error("derived a key")) })
)

const challengeOf = (iterations: string) => `r=${nonce},s=AAECAwQFBgcICQoLDA0ODw==,i=${iterations}`

describe("a client", () => {
  for (
    const [iterations, message] of [
      ["1", "the server asks for 1 iterations; 4096 to 1000000 are accepted"],
      ["4095", "the server asks for 4095 iterations; 4096 to 1000000 are accepted"],
      ["1000001", "the server asks for 1000001 iterations; 4096 to 1000000 are accepted"],
      ["2147483648", "the server asks for 2147483648 iterations; 4096 to 1000000 are accepted"],
      ["9".repeat(400), "the server asks for 9999999999999999… iterations; 4096 to 1000000 are accepted"]
    ] as const
  ) {
    test(
      `refuses ${iterations.slice(0, 10)} iterations before any work`,
      Effect.gen(function*() {
        const reason = yield* refusesFirst(challengeOf(iterations)).pipe(Effect.provide(noDerivation))
        assert.strictEqual(reason._tag, "AuthenticationFailed")
        assert.strictEqual(reason.message, `authentication (SCRAM-SHA-256) failed: ${message}`)
        assert.strictEqual(reason.fault, "peer")
      })
    )
  }

  for (const iterations of ["0", "-1", "+4096", "04096", "4096 ", " 4096", "4096.0", "4e3", "0x1000", "", "４０９６"]) {
    test(
      `refuses ${JSON.stringify(iterations)} as a number of iterations`,
      Effect.gen(function*() {
        const reason = yield* refusesFirst(challengeOf(iterations)).pipe(Effect.provide(noDerivation))
        assert.strictEqual(reason._tag, "MalformedFrame")
        assert.include(reason.message, "server-first-message: the iteration count is not a positive number: \"r=AAEC")
        assert.strictEqual(reason.fault, "peer")
      })
    )
  }

  test(
    "takes the fewest and the most iterations that it accepts",
    Effect.gen(function*() {
      yield* Effect.flatMap(atClient(), (first) => first.receive(challengeOf("4096")))
      yield* Effect.flatMap(
        atClient({ minIterations: 1, maxIterations: 1 }),
        (first) => first.receive(challengeOf("1"))
      )
      // The limit of the derivation itself.
      const reason = yield* refusesFirst(challengeOf("2147483648"), { maxIterations: 2 ** 40 }).pipe(
        Effect.provide(noDerivation)
      )
      assert.strictEqual(reason._tag, "AuthenticationFailed")
      assert.strictEqual(reason.fault, "peer")
    })
  )

  for (
    const [what, other] of [
      ["another nonce", `x${nonce}`],
      ["its own nonce alone", clientNonce],
      ["the beginning of its nonce", clientNonce.slice(0, -1)],
      ["its nonce in another case", nonce.toLowerCase()]
    ] as const
  ) {
    test(
      `refuses ${what}`,
      Effect.gen(function*() {
        const reason = yield* refusesFirst(`r=${other},s=AAECAwQFBgcICQoLDA0ODw==,i=4096`).pipe(
          Effect.provide(noDerivation)
        )
        assert.strictEqual(reason._tag, "MalformedFrame")
        assert.include(reason.message, "the nonce does not continue the one of this exchange")
      })
    )
  }

  test(
    "takes a nonce that is longer by one, and no longer than 512",
    Effect.gen(function*() {
      const of = (nonce: string) => `r=${nonce},s=AAECAwQFBgcICQoLDA0ODw==,i=4096`
      yield* Effect.flatMap(atClient(), (first) => first.receive(of(`${clientNonce}~`)))
      yield* Effect.flatMap(atClient(), (first) => first.receive(of(clientNonce.padEnd(512, "~"))))
      const reason = yield* refusesFirst(of(clientNonce.padEnd(513, "~")))
      assert.include(reason.message, "the nonce is longer than 512 characters")
    })
  )

  for (
    const [what, serverFirst, problem] of [
      ["an empty message", "", "r= is due at attribute 1"],
      ["a message without a salt", `r=${nonce}`, "the message ends where s= is due"],
      ["attributes in another order", `s=AAECAwQFBgcICQoLDA0ODw==,r=${nonce},i=4096`, "r= is due at attribute 1"],
      ["the count before the salt", `r=${nonce},i=4096,s=AAECAwQFBgcICQoLDA0ODw==`, "s= is due at attribute 2"],
      ["a mandatory extension", `m=x,${challengeOf("4096")}`, "an extension is mandatory, and none is supported"],
      ["a mandatory one at the end", `${challengeOf("4096")},m=x`, "an extension is mandatory, and none is supported"],
      ["a second count", `${challengeOf("4096")},i=1`, "i= is not due at this place"],
      ["a second nonce", `${challengeOf("4096")},r=${nonce}`, "r= is not due at this place"],
      ["a comma at the end", `${challengeOf("4096")},`, "an extension is not of the form letter=value"],
      ["garbage at the end", `${challengeOf("4096")},xyz`, "an extension is not of the form letter=value"],
      ["an empty extension", `${challengeOf("4096")},x=`, "an extension is not of the form letter=value"],
      ["a capital R", challengeOf("4096").replace("r=", "R="), "r= is due at attribute 1"],
      ["a blank in the salt", `r=${nonce},s=AAECAwQFBgcICQoL DA0ODw==,i=4096`, "the salt is not base64"],
      ["a line end in the salt", `r=${nonce},s=AAECAwQFBgcICQoL\r\nDA0ODw==,i=4096`, "the salt is not base64"],
      ["a salt without padding", `r=${nonce},s=AAECAwQFBgcICQoLDA0ODw,i=4096`, "the salt is not base64"],
      ["a salt with bits left over", `r=${nonce},s=AAECAwQFBgcICQoLDA0ODx==,i=4096`, "the salt is not base64"],
      ["a blank in the nonce", `r=${clientNonce} ~,s=AAECAwQFBgcICQoLDA0ODw==,i=4096`, "the nonce is not printable"],
      ["a NUL", `${challengeOf("4096")},x=\0`, "there is a NUL in the message"]
    ] as const
  ) {
    test(
      `refuses ${what}`,
      Effect.gen(function*() {
        const reason = yield* refusesFirst(serverFirst).pipe(Effect.provide(noDerivation))
        assert.strictEqual(reason._tag, "MalformedFrame")
        assert.include(reason.message, problem)
        assert.strictEqual(reason.fault, "peer")
      })
    )
  }

  test(
    "passes over extensions that it need not know",
    Effect.flatMap(atClient(), (first) => first.receive(`${challengeOf("4096")},x=1,y==,Z=\u00e9`))
  )

  test(
    "refuses what is not UTF-8",
    Effect.gen(function*() {
      const reason = yield* refusesFirst(Uint8Array.of(...utf8(challengeOf("4096")), 0xff))
      assert.include(reason.message, "server-first-message: the message is not UTF-8")
      const half = yield* refusesFirst(`${challengeOf("4096")},x=\ud800`)
      assert.include(half.message, "server-first-message: the message is not UTF-8")
    })
  )

  test(
    "refuses a salt of 7 bytes and takes one of 8",
    Effect.gen(function*() {
      const of = (length: number) => `r=${nonce},s=${Base64.encode(bytes(0, length))},i=4096`
      const reason = yield* refusesFirst(of(7)).pipe(Effect.provide(noDerivation))
      assert.include(reason.message, "the server's salt has 7 bytes; 8 are the minimum")
      yield* Effect.flatMap(atClient(), (first) => first.receive(of(8)))
    })
  )

  test(
    "refuses a salt of 257 bytes and takes one of 256",
    Effect.gen(function*() {
      const of = (length: number) => `r=${nonce},s=${Base64.encode(bytes(0, length))},i=4096`
      const reason = yield* refusesFirst(of(257)).pipe(Effect.provide(noDerivation))
      assert.include(reason.message, "the salt is longer than 256 bytes")
      yield* Effect.flatMap(atClient(), (first) => first.receive(of(256)))
    })
  )

  test(
    "refuses a message of 2049 bytes and takes one of 2048",
    Effect.gen(function*() {
      const of = (length: number) => `${challengeOf("4096")},x=`.padEnd(length, "~")
      const reason = yield* refusesFirst(of(2049)).pipe(Effect.provide(noDerivation))
      assert.include(reason.message, "the message is longer than 2048 bytes: 2049 bytes")
      yield* Effect.flatMap(atClient(), (first) => first.receive(of(2048)))
    })
  )

  // Before its last message, a server has proved nothing, and there is nothing to be had but a state that wants it.
  const atFinal = Effect.flatMap(
    atClient({ binding: endPoint(32) }),
    (first) => first.receive(sha256Bound.serverFirst)
  )
  const refusesFinal = (serverFinal: string) =>
    Effect.flatMap(atFinal, (final) => Effect.flip(final.receive(serverFinal)))

  test(
    "refuses a server's signature that is wrong in one bit",
    Effect.gen(function*() {
      const reason = yield* refusesFinal(
        "v=Fi6SFwvhqEDOAt0mgO7nofy0f6Xjfw7DtgA7HMC4U6k=".replace("U6k=", "U6g=").replace("Fi", "Fj")
      )
      assert.strictEqual(reason._tag, "AuthenticationFailed")
      assert.include(reason.message, "the server's signature is wrong: it does not know the password")
      assert.strictEqual(reason.fault, "peer")
    })
  )

  for (
    const [what, serverFinal, problem] of [
      ["no signature", "", "v= is due at attribute 1"],
      ["an empty signature", "v=", "the server's signature is not 32 bytes long"],
      ["a short signature", `v=${Base64.encode(bytes(0, 31))}`, "the server's signature is not 32 bytes long"],
      ["a long signature", `v=${Base64.encode(bytes(0, 33))}`, "the server's signature is not 32 bytes long"],
      ["a signature that is no base64", "v=!", "the server's signature is not base64"],
      ["its own proof for an answer", "p=9oBuj8pCDc02R+J4oZT9xh0sF9orfWOhKQDVYiJf5dc=", "v= is due at attribute 1"],
      ["a signature in the second place", `x=1,${sha256Bound.serverFinal}`, "v= is due at attribute 1"],
      ["two signatures", `${sha256Bound.serverFinal},${sha256Bound.serverFinal}`, "v= is not due at this place"],
      ["a signature and an error", `${sha256Bound.serverFinal},e=other-error`, "e= is not due at this place"],
      ["an error and a signature", `e=other-error,${sha256Bound.serverFinal}`, "v= is not due at this place"],
      ["a mandatory extension", `m=1,${sha256Bound.serverFinal}`, "an extension is mandatory"],
      ["a mandatory extension at the end", `${sha256Bound.serverFinal},m=1`, "an extension is mandatory"]
    ] as const
  ) {
    test(
      `refuses ${what}`,
      Effect.gen(function*() {
        const reason = yield* refusesFinal(serverFinal)
        assert.strictEqual(reason._tag, "MalformedFrame")
        assert.include(reason.message, `server-final-message: ${problem}`)
        assert.strictEqual(reason.fault, "peer")
        assert.notInclude(inspect(reason), "9oBuj8pCDc02R")
      })
    )
  }

  for (
    const [value, fault, message] of [
      ["invalid-proof", "local", "the server does not accept the user name or the password"],
      ["unknown-user", "local", "the server does not accept the user name or the password"],
      ["channel-bindings-dont-match", "peer", "the server refuses: channel-bindings-dont-match"],
      ["no-resources", "peer", "the server refuses: no-resources"],
      ["9oBuj8pCDc02R+J4oZT9xh0sF9orfWOhKQDVYiJf5dc=", "peer", "the server refuses: a reason that has no name"],
      ["", "peer", "the server refuses: a reason that has no name"]
    ] as const
  ) {
    test(
      `is told e=${value.slice(0, 30)}`,
      Effect.gen(function*() {
        const reason = yield* refusesFinal(`e=${value}`)
        assert.strictEqual(reason._tag, "AuthenticationFailed")
        assert.strictEqual(reason.message, `authentication (SCRAM-SHA-256-PLUS) failed: ${message}`)
        assert.strictEqual(reason.fault, fault)
      })
    )
  }

  test(
    "cannot go on twice from one state",
    Effect.gen(function*() {
      const first = yield* atClient({ binding: endPoint(32) })
      const final = yield* first.receive(sha256Bound.serverFirst)
      const again = yield* Effect.exit(first.receive(sha256Bound.serverFirst))
      assert.isTrue(Exit.hasDies(again))
      yield* Effect.flip(final.receive("v="))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(final.receive(sha256Bound.serverFinal))))
    })
  )

  for (
    const [what, options, message] of [
      ["an empty password", { password: secret("") }, "the password is empty"],
      ["a password of nothing", { password: secret("\u00ad") }, "the password is empty"],
      [
        "a control in the password",
        { password: secret("a\u0007") },
        "the password has a character in it that SASLprep prohibits"
      ],
      [
        "half a character",
        { password: secret("a\ud800") },
        "the password has a character in it that SASLprep prohibits"
      ],
      [
        "half a character, as PostgreSQL",
        { password: secret("a\ud800"), preparation: "postgres" },
        "the password has a character in it that SASLprep prohibits"
      ],
      ["a control in the name", { username: "a\u0007" }, "the user name has a character in it that SASLprep prohibits"]
    ] as const
  ) {
    test(
      `does not begin with ${what}`,
      Effect.gen(function*() {
        const failure = yield* Effect.flip(atClient(options))
        assert.strictEqual(failure.message, `authentication (SCRAM) failed: ${message}`)
        assert.strictEqual(failure.fault, "local")
      })
    )
  }

  test(
    "fails by a typed error where the platform cannot derive keys",
    Effect.gen(function*() {
      const unsupported = new CryptoError.CryptoError({
        module: "Kdf",
        method: "derive",
        reason: new CryptoError.Unsupported({ description: "not here" })
      })
      const reason = yield* refusesFirst(challengeOf("4096")).pipe(
        Effect.provideService(Kdf.Kdf, Kdf.Kdf.of({ derive: () => Effect.fail(unsupported) }))
      )
      assert.strictEqual(reason.message, "authentication (SCRAM) failed: no cryptography for it: Kdf.derive: not here")
      assert.strictEqual(reason.fault, "local")
    })
  )

  test(
    "fails by a typed error where the platform has no HMAC, and so does a server",
    Effect.gen(function*() {
      const unsupported = Effect.fail(
        new CryptoError.CryptoError({
          module: "Mac",
          method: "sign",
          reason: new CryptoError.Unsupported({ description: "not here" })
        })
      )
      const noHmac = Effect.provideService(
        Mac.Mac,
        Mac.Mac.of({ generateKey: () => unsupported, sign: () => unsupported, verify: () => unsupported })
      )
      const reason = yield* refusesFirst(challengeOf("4096")).pipe(noHmac)
      assert.strictEqual(reason.message, "authentication (SCRAM) failed: no cryptography for it: Mac.sign: not here")
      assert.strictEqual(reason.fault, "local")
      const challenge = yield* atServer(sha256Bound.clientFirst, boundServer)
      const refusal = yield* Effect.flip(challenge.receive(sha256Bound.clientFinal)).pipe(noHmac)
      assert.strictEqual(refusal.error, "other-error")
      assert.strictEqual(refusal.reason.fault, "local")
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Hostile clients
// ---------------------------------------------------------------------------------------------------------------------

const refusesClient = (clientFirst: string | Uint8Array, options = plainServer) =>
  Effect.flip(Scram.server(options).receive(clientFirst))

type Case = readonly [what: string, message: string, problem: string, error?: Scram.ServerErrorValue]

describe("a server", () => {
  const firsts: ReadonlyArray<Case> = [
    ["an empty message", "", "it does not begin with a channel binding flag (n, y or p=)"],
    ["an unknown flag", "x,,n=user,r=abc", "it does not begin with a channel binding flag"],
    [
      "a binding without a type",
      "p=,,n=user,r=abc",
      "it does not begin with a channel binding flag"
    ],
    ["half a GS2 header", "n", "the message ends within its GS2 header"],
    ["a GS2 header alone", "n,", "the message ends where n= is due"],
    ["an empty rest", "n,,", "n= is due at attribute 1"],
    [
      "an authorization identity",
      "n,a=admin,n=user,r=abc",
      "an authorization identity is not supported",
      "extensions-not-supported"
    ],
    [
      "something else in the GS2 header",
      "n,z,n=user,r=abc",
      "the GS2 header is not of the form flag,,"
    ],
    [
      "a mandatory extension",
      "n,,m=x,n=user,r=abc",
      "an extension is mandatory, and none is supported",
      "extensions-not-supported"
    ],
    [
      "a mandatory extension at the end",
      "n,,n=user,r=abc,m=x",
      "an extension is mandatory, and none is supported",
      "extensions-not-supported"
    ],
    ["the nonce before the name", "n,,r=abc,n=user", "n= is due at attribute 1"],
    ["no nonce", "n,,n=user", "the message ends where r= is due"],
    ["an empty nonce", "n,,n=user,r=", "the nonce is not printable ASCII"],
    ["a nonce that is not ASCII", "n,,n=user,r=é", "the nonce is not printable ASCII"],
    ["a long nonce", `n,,n=user,r=${"a".repeat(257)}`, "the nonce is longer than 256 characters"],
    ["a proof already", "n,,n=user,r=abc,p=abc", "p= is not due at this place"],
    ["a NUL", "n,,n=user,r=abc,x=\0", "there is a NUL in the message"],
    ["no name", "n,,n=,r=abc", "there is no user name in n=", "invalid-username-encoding"],
    ["a name with a bad escape", "n,,n=a=b,r=abc", "there is no user name in n=", "invalid-username-encoding"],
    [
      "a name with an escape in lower case",
      "n,,n=a=2cb,r=abc",
      "there is no user name in n=",
      "invalid-username-encoding"
    ],
    [
      "a name that has no prepared form",
      "n,,n=a\u0007,r=abc",
      "there is no user name in n=",
      "invalid-username-encoding"
    ],
    [
      "a binding that was not agreed",
      sha256Bound.clientFirst,
      "the message binds, and that was not agreed",
      "channel-binding-not-supported"
    ]
  ]
  for (const [what, clientFirst, problem, error = "invalid-encoding"] of firsts) {
    test(
      `refuses ${what}`,
      Effect.gen(function*() {
        const refusal = yield* refusesClient(clientFirst)
        assert.strictEqual(refusal.error, error)
        assert.strictEqual(refusal.reason._tag, "MalformedFrame")
        assert.include(refusal.message, `client-first-message: ${problem}`)
        assert.strictEqual(refusal.reason.fault, "peer")
        assert.notInclude(refusal.message, "user,r")
      })
    )
  }

  test(
    "refuses a client that could bind and was not told that it may: somebody has changed the offer",
    Effect.gen(function*() {
      const refusal = yield* refusesClient(notOffered.clientFirst, { ...boundServer, mechanism: "SCRAM-SHA-256" })
      assert.strictEqual(refusal.error, "server-does-support-channel-binding")
      assert.strictEqual(refusal.reason._tag, "AuthenticationFailed")
      // A client that cannot bind may log in all the same, and so may one that was told the truth.
      yield* Scram.server({ ...boundServer, mechanism: "SCRAM-SHA-256" }).receive("n,,n=user,r=abc")
      yield* Scram.server(plainServer).receive(notOffered.clientFirst)
    })
  )

  test(
    "refuses a client that chose to bind and does not",
    Effect.gen(function*() {
      for (const flag of ["n", "y"]) {
        const refusal = yield* refusesClient(`${flag},,n=user,r=abc`, boundServer)
        assert.strictEqual(refusal.error, "invalid-encoding")
        assert.include(refusal.message, "SCRAM-SHA-256-PLUS was chosen, and the message does not bind")
      }
    })
  )

  test(
    "refuses another type of binding",
    Effect.gen(function*() {
      for (const type of ["tls-unique", "tls-exporter"]) {
        const refusal = yield* refusesClient(`p=${type},,n=user,r=abc`, boundServer)
        assert.strictEqual(refusal.error, "unsupported-channel-binding-type")
        assert.include(refusal.message, "only tls-server-end-point can be bound to")
      }
    })
  )

  test(
    "takes a nonce of one character, and one of 256",
    Effect.gen(function*() {
      for (const nonce of ["~", "a".repeat(256)]) {
        const challenge = yield* atServer(`n,,n=user,r=${nonce}`)
        const whole = challenge.message.slice(2).split(",")[0]
        const refusal = yield* Effect.flip(challenge.receive(`c=biws,r=${whole},p=${Base64.encode(bytes(0, 32))}`))
        assert.strictEqual(refusal.error, "invalid-proof")
      }
    })
  )

  const refusesProof = (clientFinal: string) =>
    Effect.flatMap(
      atServer(sha256Bound.clientFirst, boundServer),
      (challenge) => Effect.flip(challenge.receive(clientFinal))
    )

  test(
    "refuses a proof that is wrong in one bit, as any wrong password",
    Effect.gen(function*() {
      const refusal = yield* refusesProof(sha256Bound.clientFinal.replace(",p=9", ",p=8"))
      assert.strictEqual(refusal.error, "invalid-proof")
      assert.strictEqual(refusal.reason._tag, "AuthenticationFailed")
      assert.strictEqual(
        refusal.message,
        "authentication (SCRAM-SHA-256-PLUS) failed: the user name or the password is wrong"
      )
    })
  )

  for (
    const [what, channelBinding] of [
      [
        "the hash of another certificate",
        Base64.encode(Uint8Array.of(...utf8("p=tls-server-end-point,,"), ...bytes(0, 32)))
      ],
      ["no hash", Base64.encode("p=tls-server-end-point,,")],
      ["the header of a client that does not bind", "biws"],
      ["nothing", ""]
    ] as const
  ) {
    test(
      `refuses ${what} for a channel binding`,
      Effect.gen(function*() {
        const refusal = yield* refusesProof(sha256Bound.clientFinal.replace(/^c=[^,]*/, `c=${channelBinding}`))
        assert.strictEqual(refusal.error, "channel-bindings-dont-match")
        assert.strictEqual(refusal.reason._tag, "AuthenticationFailed")
        assert.include(refusal.message, "the client is bound to another channel than this one")
      })
    )
  }

  const finals: ReadonlyArray<Case> = [
    ["an empty message", "", "c= is due at attribute 1"],
    [
      "a proof alone",
      "p=9oBuj8pCDc02R+J4oZT9xh0sF9orfWOhKQDVYiJf5dc=",
      "c= is due at attribute 1"
    ],
    [
      "no proof",
      sha256Bound.clientFinal.replace(/,p=.*/, ""),
      "the message ends where p= is due"
    ],
    [
      "the proof before the nonce",
      sha256Bound.clientFinal.replace(/,(r=[^,]*),(p=.*)/, ",$2,$1"),
      "r= is due at attribute 2"
    ],
    ["something behind the proof", `${sha256Bound.clientFinal},x=1`, "p= is due at attribute 4"],
    [
      "two proofs",
      sha256Bound.clientFinal.replace(/(,p=.*)/, "$1$1"),
      "p= is not due at this place"
    ],
    [
      "a short proof",
      sha256Bound.clientFinal.replace(/,p=.*/, `,p=${Base64.encode(bytes(0, 31))}`),
      "the proof is not 32 bytes long"
    ],
    [
      "a long proof",
      sha256Bound.clientFinal.replace(/,p=.*/, `,p=${Base64.encode(bytes(0, 33))}`),
      "the proof is not 32 bytes long"
    ],
    [
      "a proof with bits left over",
      sha256Bound.clientFinal.replace("5dc=", "5dd="),
      "the proof is not base64"
    ],
    [
      "a binding that is no base64",
      sha256Bound.clientFinal.replace("c=", "c=!"),
      "the channel binding is not base64"
    ],
    [
      "another nonce",
      sha256Bound.clientFinal.replace("R1,p", "R2,p").replace(/.{2},p=/, "xx,p="),
      "the nonce is not the one of this exchange"
    ],
    [
      "the client's nonce alone",
      sha256Bound.clientFinal.replace(nonce, clientNonce),
      "the nonce is not the one of this exchange"
    ],
    [
      "a mandatory extension",
      sha256Bound.clientFinal.replace(",p=", ",m=1,p="),
      "an extension is mandatory",
      "extensions-not-supported"
    ]
  ]
  for (const [what, clientFinal, problem, error = "invalid-encoding"] of finals) {
    test(
      `refuses ${what} at the end`,
      Effect.gen(function*() {
        const refusal = yield* refusesProof(clientFinal)
        assert.strictEqual(refusal.error, error)
        assert.strictEqual(refusal.reason._tag, "MalformedFrame")
        assert.include(refusal.message, `client-final-message: ${problem}`)
        assert.notInclude(inspect(refusal), "9oBuj8pCDc02R")
      })
    )
  }

  test(
    "does not take a proof that was made for another exchange",
    Effect.gen(function*() {
      // The same client, the same verifier, another nonce of the server.
      const challenge = yield* Scram.server(boundServer).receive(sha256Bound.clientFirst).pipe(
        Effect.flatMap((first) => first.challenge(pencilVerifier))
      )
      const refusal = yield* Effect.flip(challenge.receive(sha256Bound.clientFinal))
      assert.include(refusal.message, "the nonce is not the one of this exchange")
    })
  )

  test(
    "cannot go on twice from one state",
    Effect.gen(function*() {
      const start = Scram.server(boundServer)
      const first = yield* start.receive(sha256Bound.clientFirst)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(start.receive(sha256Bound.clientFirst))))
      const challenge = yield* first.challenge(pencilVerifier).pipe(drawing(bytes(100, 18)))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(first.challenge(pencilVerifier))))
      // One guess for each challenge.
      yield* Effect.flip(challenge.receive(sha256Bound.clientFinal.replace(",p=9", ",p=8")))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(challenge.receive(sha256Bound.clientFinal))))
    })
  )

  test(
    "does not go on with what is no verifier, and says that it is its own fault",
    Effect.gen(function*() {
      const bad: ReadonlyArray<Partial<Scram.Verifier>> = [
        { iterations: 0 },
        { iterations: Number.NaN },
        { iterations: 2 ** 31 },
        { salt: new Uint8Array(0) },
        { salt: new Uint8Array(257) },
        { storedKey: Redacted.make(bytes(0, 31)) },
        { serverKey: Redacted.make(new Uint8Array(0)) }
      ]
      for (const part of bad) {
        const refusal = yield* Effect.flip(
          atServer(sha256Bound.clientFirst, boundServer, { ...pencilVerifier, ...part })
        )
        assert.strictEqual(refusal.error, "other-error")
        assert.strictEqual(refusal.reason.fault, "local")
      }
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Law 3 and garbage: whatever comes is answered by a typed error, and by no defect
// ---------------------------------------------------------------------------------------------------------------------

/** Fails the test where an effect ends with anything but a typed failure. */
const failsTyped = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    assert.isTrue(Exit.hasFails(exit) && !Exit.hasDies(exit), inspect(exit))
  })

const pieces: ReadonlyArray<string> = [
  ..."n= r= s= i= c= v= e= m= a= p= n y , ,, = user x=1 4096 biws tls-server-end-point é \0 \ufeff".split(" "),
  clientNonce,
  nonce,
  "AAECAwQFBgcICQoLDA0ODw=="
]

/** Made of what the messages are made of. */
const garbage = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(
      Schema.Literals(pieces)
    ),
    { maxLength: 12 }
  ),
  (parts) => parts.join("")
)

describe("garbage", () => {
  const atFinal = Effect.flatMap(
    atClient({ binding: endPoint(32) }),
    (first) => first.receive(sha256Bound.serverFirst)
  )
  // A signature and a proof are hardly met by chance, but an accepted first message is well possible.
  const answers = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.exit(effect), (exit) => !Exit.hasDies(exit))

  const everywhere = (message: string | Uint8Array) =>
    Effect.gen(function*() {
      const first = yield* atClient({ binding: endPoint(32) })
      const final = yield* atFinal
      const challenge = yield* atServer(sha256Bound.clientFirst, boundServer)
      yield* failsTyped(final.receive(message))
      yield* failsTyped(challenge.receive(message))
      return (yield* answers(first.receive(message))) && (yield* answers(Scram.server(boundServer).receive(message)))
    }).pipe(Effect.provide(NodeCrypto.layer))

  it.effect.prop("bytes at any step", [Schema.Uint8Array], ([message]) => everywhere(message), runs(50))
  it.effect.prop("text at any step", [Schema.String], ([message]) => everywhere(message), runs(50))
  it.effect.prop("pieces of messages at any step", [garbage], ([message]) => everywhere(message), runs(200))

  test(
    "law 3: each message, cut after any byte",
    Effect.gen(function*() {
      const cuts = (message: string) => Array.from(message, (_, length) => message.slice(0, length))
      for (const message of cuts(sha256Bound.serverFirst)) {
        // The digits of the count alone can be fewer and still be a count; it is too low then.
        yield* failsTyped(Effect.flatMap(atClient(), (first) => first.receive(message)))
      }
      for (const message of cuts(sha256Bound.clientFinal)) {
        yield* failsTyped(
          Effect.flatMap(atServer(sha256Bound.clientFirst, boundServer), (challenge) => challenge.receive(message))
        )
      }
      for (const message of cuts(sha256Bound.serverFinal)) {
        const final = yield* atFinal
        yield* failsTyped(final.receive(message))
      }
      // A nonce that is cut is a shorter one, and what follows does not fit it.
      const header = sha256Bound.clientFirst.length - clientNonce.length
      for (const message of cuts(sha256Bound.clientFirst.slice(0, header + 1))) {
        yield* failsTyped(Scram.server(boundServer).receive(message))
      }
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Law 9
// ---------------------------------------------------------------------------------------------------------------------

describe("law 9", () => {
  // How the beginning of an array of bytes is shown.
  const asBytes = (bytes: Uint8Array) => bytes.subarray(0, 4).join(", ")

  test(
    "no state shows a password, a key or a proof",
    Effect.gen(function*() {
      const keys = Scram.keyCache()
      const first = yield* atClient({ binding: endPoint(32), keys })
      const final = yield* first.receive(sha256Bound.serverFirst)
      const start = Scram.server(boundServer)
      const serverFirst = yield* start.receive(sha256Bound.clientFirst)
      const challenge = yield* serverFirst.challenge(pencilVerifier).pipe(drawing(bytes(100, 18)))
      const serverFinal = yield* challenge.receive(sha256Bound.clientFinal)
      const authenticated = yield* final.receive(sha256Bound.serverFinal)
      const states = [first, final, start, serverFirst, challenge, serverFinal, authenticated, pencilVerifier, keys]
      const shown = states.map((state) => inspect(state, { depth: null, showHidden: true }) + JSON.stringify(state))
        .join("\n").replaceAll(/\s+/g, " ")
      assert.include(shown, "<redacted>")
      for (
        const hidden of [
          "pencil",
          "9oBuj8pCDc02R",
          "Fi6SFwvhqED",
          "zHCdol2044",
          "dd5peBOitV",
          asBytes(Redacted.value(pencilVerifier.storedKey)),
          asBytes(Redacted.value(pencilVerifier.serverKey)),
          asBytes(base64("9oBuj8pCDc02R+J4oZT9xh0sF9orfWOhKQDVYiJf5dc=")),
          asBytes(base64("Fi6SFwvhqEDOAt0mgO7nofy0f6Xjfw7DtgA7HMC4U6g="))
        ]
      ) {
        assert.notInclude(shown, hidden)
      }
    })
  )

  test(
    "no failure shows a password",
    Effect.gen(function*() {
      const password = secret("swordfish\u0007")
      const failures: ReadonlyArray<AuthenticationFailed> = [
        yield* Effect.flip(Scram.verifier(password)),
        yield* Effect.flip(Scram.client({ password }))
      ]
      assert.notInclude(inspect(failures, { depth: null }) + JSON.stringify(failures), "swordfish")
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Mechanisms, verifiers
// ---------------------------------------------------------------------------------------------------------------------

describe("choose", () => {
  const both = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
  const hash = bytes(0, 32)
  const chosen = (
    offered: ReadonlyArray<string>,
    endPoint: Uint8Array | undefined,
    channelBinding?: "disable" | "prefer" | "require"
  ) =>
    Result.match(Scram.choose({ offered, endPoint, channelBinding }), {
      onSuccess: ({ binding, mechanism }) => `${mechanism} ${binding._tag}`,
      onFailure: ({ detail, fault }) => `${fault}: ${detail}`
    })

  it("binds where both sides can", () => {
    assert.strictEqual(chosen(both, hash), "SCRAM-SHA-256-PLUS EndPoint")
    assert.strictEqual(chosen(both, hash, "require"), "SCRAM-SHA-256-PLUS EndPoint")
    assert.strictEqual(chosen(both.toReversed(), hash), "SCRAM-SHA-256-PLUS EndPoint")
  })

  it("tells a server that does not offer to bind that it could", () => {
    assert.strictEqual(chosen(["X", "SCRAM-SHA-256"], hash), "SCRAM-SHA-256 NotOffered")
  })

  it("does not bind where it cannot, or shall not", () => {
    assert.strictEqual(chosen(both, undefined), "SCRAM-SHA-256 Unsupported")
    assert.strictEqual(chosen(both, hash, "disable"), "SCRAM-SHA-256 Unsupported")
  })

  it("fails where binding is required and cannot be had", () => {
    assert.strictEqual(
      chosen(["SCRAM-SHA-256"], hash, "require"),
      "peer: channel binding is required, and the server does not offer it"
    )
    assert.strictEqual(
      chosen(both, undefined, "require"),
      "local: channel binding is required, and this connection has nothing to bind to"
    )
  })

  it("fails where there is nothing to choose", () => {
    assert.strictEqual(
      chosen(["PLAIN", "SCRAM-SHA-1\u0007"], hash),
      "peer: SCRAM-SHA-256 is not among what the server offers: PLAIN, SCRAM-SHA-1\\x07"
    )
    assert.strictEqual(
      chosen(["SCRAM-SHA-256-PLUS"], undefined),
      "peer: SCRAM-SHA-256 is not among what the server offers: SCRAM-SHA-256-PLUS"
    )
  })
})

describe("verifiers", () => {
  test(
    "have 4096 iterations and 16 random bytes of salt",
    Effect.gen(function*() {
      const [a, b] = [yield* Scram.verifier(pencil), yield* Scram.verifier(pencil)]
      assert.strictEqual(a.iterations, 4096)
      assert.strictEqual(a.salt.length, 16)
      assert.notDeepEqual(a.salt, b.salt)
    })
  )

  test(
    "tell a password in clear",
    Effect.gen(function*() {
      assert.isTrue(yield* Scram.verify(pencilVerifier, pencil))
      assert.isFalse(yield* Scram.verify(pencilVerifier, secret("pencils")))
      assert.isFalse(yield* Scram.verify(pencilVerifier, secret("")))
      assert.isFalse(yield* Scram.verify(pencilVerifier, secret("pencil\ud800")))
      assert.isTrue(yield* Scram.verify(pencilVerifier, secret("pen\u00adcil")))
    })
  )

  test(
    "are not made out of range",
    Effect.gen(function*() {
      for (
        const options of [
          { iterations: 0 },
          { iterations: 1.5 },
          { iterations: 2 ** 31 },
          { salt: bytes(0, 7) },
          { salt: bytes(0, 257) }
        ]
      ) {
        const failure = yield* Effect.flip(Scram.verifier(pencil, options))
        assert.strictEqual(failure.fault, "local")
      }
      yield* Scram.verifier(pencil, { iterations: 1, salt: bytes(0, 8) })
      yield* Scram.verifier(pencil, { iterations: 1, salt: bytes(0, 256) })
    })
  )

  const mockSecret = Redacted.make(bytes(7, 32))

  test(
    "of a user that is not there are the same each time, and others for others",
    Effect.gen(function*() {
      const mock = yield* Scram.mock("nobody", mockSecret)
      assert.strictEqual(mock.iterations, 4096)
      assert.strictEqual(mock.salt.length, 16)
      const again = yield* Scram.mock("nobody", mockSecret)
      assert.deepStrictEqual(again.salt, mock.salt)
      assert.deepStrictEqual(Redacted.value(again.storedKey), Redacted.value(mock.storedKey))
      assert.notDeepEqual((yield* Scram.mock("somebody", mockSecret)).salt, mock.salt)
      assert.notDeepEqual((yield* Scram.mock("nobody", Redacted.make(bytes(8, 32)))).salt, mock.salt)
      const like = yield* Scram.mock("nobody", mockSecret, { iterations: 10_000, saltLength: 12 })
      assert.strictEqual(like.iterations, 10_000)
      assert.strictEqual(like.salt.length, 12)
    })
  )

  test(
    "of a user that is not there fail at the same place and in the same words as a wrong password",
    Effect.gen(function*() {
      const mock = yield* Scram.mock("user", mockSecret)
      const refusal = (verifier: Scram.Verifier, password: string) =>
        Effect.flip(converse(verifier, { username: "user", password: secret(password) }, { endPoint: undefined }))
      const unknown = yield* refusal(mock, "pencil")
      const wrong = yield* refusal(pencilVerifier, "pen")
      assert.deepStrictEqual(JSON.parse(JSON.stringify(unknown)), JSON.parse(JSON.stringify(wrong)))
      assert.strictEqual(unknown.message, wrong.message)
    })
  )

  test(
    "of a user that is not there want a secret of 16 bytes",
    Effect.gen(function*() {
      const failure = yield* Effect.flip(Scram.mock("user", Redacted.make(bytes(0, 15))))
      assert.strictEqual(failure.fault, "local")
      yield* Scram.mock("user", Redacted.make(bytes(0, 16)))
    })
  )
})

describe("keys", () => {
  /** A derivation that ends when it is told to, and how many run and have begun. */
  const slowly = () => {
    const counts = { running: 0, begun: 0 }
    const ends: Array<() => void> = []
    const kdf = Kdf.Kdf.of({
      derive: () =>
        Effect.callback<Uint8Array>((resume) => {
          counts.running++
          counts.begun++
          ends.push(() => {
            counts.running--
            resume(Effect.succeed(bytes(0, 32)))
          })
        })
    })
    const derive = Scram.verifier(pencil).pipe(Effect.provideService(Kdf.Kdf, kdf), Effect.provide(NodeCrypto.layer))
    return { counts, derive, end: Effect.andThen(Effect.sync(() => ends.shift()!()), TestClock.adjust("1 millis")) }
  }

  it.effect("are derived for two at a time, and for the next one when one is done", () =>
    Effect.gen(function*() {
      const { counts, derive, end } = slowly()
      const all = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(derive))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(counts, { running: 2, begun: 2 })
      yield* end
      assert.deepStrictEqual(counts, { running: 2, begun: 3 })
      yield* Effect.andThen(end, Effect.andThen(end, end))
      yield* Fiber.joinAll(all)
      assert.deepStrictEqual(counts, { running: 0, begun: 4 })
    }).pipe(Effect.provideService(Scram.Derivations, Semaphore.makeUnsafe(2))))

  it.effect("that nobody waits for any more are not begun, and one that was begun keeps its turn to its end", () =>
    Effect.gen(function*() {
      const { counts, derive, end } = slowly()
      const begun = yield* Effect.forkChild(derive)
      const waiting = yield* Effect.forkChild(derive)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.interruptAll([waiting, begun])
      const later = yield* Effect.forkChild(derive)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(counts, { running: 1, begun: 1 })
      yield* end
      assert.deepStrictEqual(counts, { running: 1, begun: 2 })
      yield* end
      yield* Fiber.join(later)
    }).pipe(Effect.provideService(Scram.Derivations, Semaphore.makeUnsafe(1))))

  // With real time: what is measured is whether the event loop goes on.
  it.live("are derived outside the event loop", () =>
    Effect.gen(function*() {
      let turns = 0
      const turn = setInterval(() => turns++, 1)
      yield* Scram.verifier(pencil, { iterations: 200_000 })
      clearInterval(turn)
      assert.isAbove(turns, 5)
    }).pipe(Effect.provide(NodeCrypto.layer)))
})

describe("keys that are kept", () => {
  /** Counts derivations. */
  const counted = Effect.gen(function*() {
    const kdf = yield* Kdf.Kdf
    const counts = { derived: 0 }
    const derive: Kdf.Kdf["Service"]["derive"] = (...args) => {
      counts.derived++
      return kdf.derive(...args)
    }
    return { counts, counting: Effect.provideService(Kdf.Kdf, Kdf.Kdf.of({ derive })) }
  })
  const options = { username: "user", password: pencil, ...cheap }
  const unbound = { endPoint: undefined }

  test(
    "are those of the exchange before, where password, salt and iterations are the same",
    Effect.gen(function*() {
      const { counting, counts } = yield* counted
      const keys = Scram.keyCache()
      const verifierOf = (password: string, from: number, iterations: number) =>
        Scram.verifier(secret(password), { salt: bytes(from, 16), iterations })
      const first = yield* verifierOf("pencil", 0, 2)
      const converses = (verifier: Scram.Verifier, password = pencil) =>
        Effect.map(counting(converse(verifier, { ...options, password, keys }, unbound)), () => counts.derived)
      assert.strictEqual(yield* converses(first), 1)
      assert.strictEqual(yield* converses(first), 1)
      assert.strictEqual(yield* converses(yield* verifierOf("pencil", 1, 2)), 2)
      assert.strictEqual(yield* converses(yield* verifierOf("pencil", 1, 3)), 3)
      assert.strictEqual(yield* converses(yield* verifierOf("pen", 1, 3), secret("pen")), 4)
      assert.strictEqual(yield* converses(yield* verifierOf("pen", 1, 3), secret("pen")), 4)
      // There is room for those of one, and the first were in it long ago.
      assert.strictEqual(yield* converses(first), 5)
    })
  )

  test(
    "are not those of an exchange in which the server has not proved itself",
    Effect.gen(function*() {
      const { counting, counts } = yield* counted
      const keys = Scram.keyCache()
      const verifier = yield* Scram.verifier(pencil, { iterations: 2 })
      const other = yield* Scram.verifier(pencil, { iterations: 2 })
      yield* counting(converse(verifier, { ...options, keys }, unbound))
      // It knows what the client's keys come from, and not the key that it would prove itself with.
      const lying = { ...other, serverKey: verifier.storedKey }
      const failure = yield* Effect.flip(counting(converse(lying, { ...options, keys }, unbound)))
      assert.strictEqual(failure._tag, "AuthenticationFailed")
      assert.strictEqual(counts.derived, 2)
      yield* counting(converse(verifier, { ...options, keys }, unbound))
      assert.strictEqual(counts.derived, 2)
      yield* counting(converse(other, { ...options, keys }, unbound))
      assert.strictEqual(counts.derived, 3)
    })
  )

  test(
    "are not asked for where the server asks for too few iterations",
    Effect.gen(function*() {
      const keys = Scram.keyCache()
      const verifier = yield* Scram.verifier(pencil, { iterations: 4095 })
      const converses = (minIterations: number) => converse(verifier, { ...options, minIterations, keys }, unbound)
      yield* converses(4095)
      assert.strictEqual((yield* Effect.flip(converses(4096)))._tag, "AuthenticationFailed")
      yield* converses(4095)
    })
  )

  it.effect.prop(
    "change nothing of what is said: with them and without, a client says the same",
    [text, text, Arbitrary.schema(Schema.Literals([1, 2]))],
    ([password, other, iterations]) =>
      Effect.gen(function*() {
        const keys = Scram.keyCache()
        const verifierOf = (password: string) => Scram.verifier(secret(password), { salt: bytes(0, 16), iterations })
        yield* converse(yield* verifierOf(password), { ...options, password: secret(password), keys }, unbound)
        const verifier = yield* verifierOf(other)
        const says = (keys: Scram.KeyCache | undefined) =>
          Effect.gen(function*() {
            const first = yield* atClient({ password: secret(other), keys, ...cheap })
            const challenge = yield* atServer(first.message, plainServer, verifier)
            const final = yield* first.receive(challenge.message)
            const { message } = yield* challenge.receive(Redacted.value(final.message))
            yield* final.receive(Redacted.value(message))
            return Redacted.value(final.message)
          })
        const once = yield* says(keys)
        assert.strictEqual(once, yield* says(undefined))
        assert.strictEqual(once, yield* says(keys))
      }).pipe(Effect.provide(NodeCrypto.layer)),
    runs(50)
  )
})

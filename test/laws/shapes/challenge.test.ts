/**
 * The laws of a healthy protocol of its own shape: a mutual challenge.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Rung from "../../../src/testing/Rung.ts"
import * as Law from "../../support/laws.ts"
import { options, seededOptions } from "./challenge.ts"

Laws.handshake({ ...options, it: Law.it })
// The nonces are not a matter of the rung.
Laws.handshake({ ...seededOptions, rungs: [Rung.pure], it: Law.it })

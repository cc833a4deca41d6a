import OpenAI from "openai";

const openai = new OpenAI({ maxRetries: 0 });
const models = [];
for await (const model of openai.models.list()) models.push(model.id);

const response = await openai.audio.speech.create({
  model: "tts-1",
  voice: "alloy",
  input: "One. Two. Three.",
  response_format: "pcm",
});
let bytes = 0;
for await (const chunk of response.body) bytes += chunk.length;

let refusal;
try {
  await openai.audio.speech.create({ model: "tts-1", voice: "alloy", input: "" });
} catch (error) {
  refusal = { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
}
console.log(JSON.stringify({ models, bytes, refusal }));

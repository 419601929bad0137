// A service user of dcmjs-dimse: node scu.cjs SERVICE HOST PORT CALLING CALLED JSON
// Each response becomes a line of JSON: its status, its counts, its data set. What C-GET brings becomes files in `folder`.
const path = require('path');
const { Client, Dataset } = require('dcmjs-dimse');
const { CEchoRequest, CFindRequest, CGetRequest, CMoveRequest, CStoreRequest, NActionRequest } =
  require('dcmjs-dimse').requests;
const { CStoreResponse } = require('dcmjs-dimse').responses;
const { SopClass, Status } = require('dcmjs-dimse').constants;

const [service, host, port, calling, called, json] = process.argv.slice(2);
const asked = JSON.parse(json);

// Asks for storage commitment (PS3.4 J.3.2); the report comes to the provider that is called.
function commitment() {
  const request = new NActionRequest(SopClass.StorageCommitmentPushModel, '1.2.840.10008.1.20.1.1', 1);
  request.setDataset(
    new Dataset({
      TransactionUID: asked.transaction,
      ReferencedSOPSequence: asked.objects.map(([sopClass, instance]) => ({
        ReferencedSOPClassUID: sopClass,
        ReferencedSOPInstanceUID: instance,
      })),
    })
  );
  return request;
}

function retrieval() {
  const request = CGetRequest.createStudyGetRequest(asked.study);
  request.setAddStorageSopClassesToAssociation(true);
  return request;
}

const requests = {
  commit: () => [commitment()],
  echo: () => [new CEchoRequest()],
  store: () => asked.files.map((file) => new CStoreRequest(file)),
  find: () => [CFindRequest[`create${asked.level}FindRequest`](asked.keys)],
  move: () => [CMoveRequest.createStudyMoveRequest(asked.destination, asked.study)],
  get: () => [retrieval()],
}[service]();

const client = new Client();
for (const request of requests) {
  request.on('response', (response) => {
    const line = { status: response.getStatus() };
    for (const name of ['Remaining', 'Completed', 'Failures', 'Warnings']) {
      if (response[`get${name}`]) {
        line[name.toLowerCase()] = response[`get${name}`]();
      }
    }
    if (response.hasDataset()) {
      line.dataset = response.getDataset().getElements();
    }
    console.log(JSON.stringify(line));
  });
  client.addRequest(request);
}
client.on('cStoreRequest', (request, callback) => {
  const response = CStoreResponse.fromRequest(request);
  request.getDataset().toFile(path.join(asked.folder, `${request.getAffectedSopInstanceUid()}.dcm`));
  response.setStatus(Status.Success);
  callback(response);
});
function fail(what) {
  return (why) => {
    console.error(what, why);
    process.exitCode = 1;
  };
}
client.on('networkError', fail('network error'));
client.on('associationRejected', fail('association rejected'));
client.on('abort', fail('association aborted'));
client.send(host, Number(port), calling, called, { associationLingerTimeout: 0 });

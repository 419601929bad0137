// OHIF 3.13 on the DICOMweb of a node: replace NODE by its address, such as https://node.example, which has to know
// this page's address (`[web] allowed_origins`) and to grant may_query and may_retrieve to whoever asks.
window.config = {
  routerBasename: "/",
  extensions: [],
  modes: [],
  customizationService: {},
  showStudyList: true,
  showWarningMessageForCrossOrigin: false, // the node speaks CORS
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 30, thumbnail: 5, prefetch: 10 }, // below [web] maximum_connections
  defaultDataSourceName: "node",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "node",
      configuration: {
        friendlyName: "rectal-node",
        name: "node",
        qidoRoot: "NODE/dicom-web",
        wadoRoot: "NODE/dicom-web",
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        singlepart: "bulkdata",
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: false,
      },
    },
  ],
};
